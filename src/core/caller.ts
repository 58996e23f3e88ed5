import { type Limits } from './limits.js';

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
  /** Of the key or token itself; others hold besides. */
  limits?: Limits;
  /** Whom of its own users the workspace asks for; null: for itself. */
  endUserId: string | null;
}

/** What a caller may see, as a text: callers with the same rights are shown the same, whatever key they use. */
export function rightsOf(caller: Caller): string {
  return JSON.stringify([caller.workspaceId, caller.endUserId, [...caller.scopes].sort()]);
}
