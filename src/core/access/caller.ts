import { type Limits } from '../limits/limits.js';
import { type Reach } from './visibility.js';

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

/** What a token can be given. Who administers does it with a key, which is in no browser. */
export const TOKEN_SCOPES = [
  'tasks:read',
  'tasks:write',
  'images:write',
  'audit:read',
] as const satisfies readonly Scope[];

/** What somebody came with: a key, a token that a key made, or one of the operator's identity provider. */
export type Credential = 'KEY' | 'TOKEN' | 'PROVIDER';

/** The scope that this text names, as far as there is one. */
export function isScope(text: string): text is Scope {
  return SCOPES.some((known) => known === text);
}

/**
 * Who is asking: a key, its workspace and its scopes, or a token that can less. Everything that is read or written is bound
 * to its reach.
 */
export interface Caller extends Reach {
  workspaceName: string;
  credential: Credential;
  /** Of a token: the key that made it. Of one of the identity provider: an id that stands for that. */
  keyId: string;
  keyName: string;
  /** The key's first characters, by which a person recognises it. */
  keyPrefix: string;
  scopes: readonly Scope[];
  /** Of the key; others hold besides. */
  limits: Limits;
  /** What a token may besides: it is counted for itself, and for its key as well. Null for a key. */
  token: { id: string; limits: Limits } | null;
  /** When the key or token ends; null: not by itself. */
  expiresAt: Date | null;
  /** The client's address, for the audit log; null where there is none. */
  source: string | null;
}

/** What a caller may see, as a text: callers with the same rights are shown the same, whatever key they use. */
export function rightsOf(caller: Caller): string {
  const { workspaceId, endUserId, taskIds, scopes } = caller;
  return JSON.stringify([workspaceId, endUserId, taskIds, [...scopes].sort()]);
}
