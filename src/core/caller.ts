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

/** The scope that this text names, as far as there is one. */
export function isScope(text: string): text is Scope {
  return SCOPES.some((known) => known === text);
}

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
  limits: Limits;
  /** Whom of its own users the workspace asks for; null: for itself. */
  endUserId: string | null;
  /** When the key or token ends; null: not by itself. */
  expiresAt: Date | null;
  /** The client's address, for the audit log; null where there is none. */
  source: string | null;
}

/** What a caller may see, as a text: callers with the same rights are shown the same, whatever key they use. */
export function rightsOf(caller: Caller): string {
  return JSON.stringify([caller.workspaceId, caller.endUserId, [...caller.scopes].sort()]);
}
