import { type Limits } from '../limits/limits.js';
import { type Visibility } from './visibility.js';

/** The permissions that an API key can have. Each resolver and route names the scope that it requires. */
export const SCOPES = [
  'tasks:read',
  'tasks:write',
  'images:write',
  'audit:read',
  'keys:admin',
  'workspaces:admin',
] as const;
export type Scope = (typeof SCOPES)[number];

/** The scopes that a client token can have. Administration requires an API key, because tokens are used in browsers. */
export const CLIENT_TOKEN_SCOPES: readonly Scope[] = [
  'tasks:read',
  'tasks:write',
  'images:write',
  'audit:read',
];

export function isScope(text: string): text is Scope {
  return SCOPES.some((scope) => scope === text);
}

/**
 * An authenticated client and its permissions. A caller with a token never has more than the API key that created the
 * token. Every read and write is limited to the caller's visibility.
 */
export interface Caller extends Visibility {
  workspaceName: string;
  /** With an API key, a client token that Darkroom issued, or a token of the operator's identity provider. */
  credentialType: 'API_KEY' | 'CLIENT_TOKEN' | 'IDENTITY_PROVIDER';
  /**
   * The ID of the API key. For a client token, the key that created it. For an identity provider's token, an ID that
   * stands for the provider.
   */
  keyId: string;
  /**
   * Shared by all keys of a chain of rotations, and by the people of a workspace who come from the identity provider. Everything
   * that limits a key counts by it.
   */
  keyLineageId: string;
  keyName: string;
  /** The key's first characters, which identify it to a person. */
  keyPrefix: string;
  scopes: readonly Scope[];
  /** The key's own limits. The limits of its token, end user and workspace apply as well. */
  limits: Limits;
  /** The client token and its limits. Its requests count toward its own limits and its key's. Null for other callers. */
  clientToken: { id: string; limits: Limits } | null;
  /** When the key or token expires. Null: never. */
  expiresAt: Date | null;
  /** The client's address for the audit log. Null when it is unknown. */
  clientAddress: string | null;
}

/** A cache key for results that depend on permissions. Callers with equal permissions have the same key. */
export function permissionsKey(caller: Caller): string {
  const { workspaceId, endUserId, taskIds, scopes } = caller;
  return JSON.stringify([workspaceId, endUserId, taskIds, [...scopes].sort()]);
}
