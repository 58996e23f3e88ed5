/** What a key may do. A resolver states the scope that it needs. */
export const SCOPES = [
  'tasks:read',
  'tasks:write',
  'images:write',
  'audit:read',
  'keys:admin',
  'workspaces:admin',
] as const;
export type Scope = (typeof SCOPES)[number];

/** Who is asking: a key, its workspace and its scopes. Everything that is read or written is bound to the workspace. */
export interface Caller {
  workspaceId: string;
  workspaceName: string;
  keyId: string;
  keyName: string;
  /** The key's first characters, by which a person recognises it. */
  keyPrefix: string;
  scopes: readonly Scope[];
}
