import { type Caller } from './caller.js';
import { newId } from '../primitives/ids.js';

/** The privileged actions that the audit log records. */
export type AuditAction =
  | 'API_KEY_CREATED'
  | 'API_KEY_REVOKED'
  | 'API_KEY_ROTATED'
  | 'CLIENT_TOKEN_CREATED'
  | 'WORKSPACE_CREATED'
  | 'WEBHOOK_SECRET_ROTATED'
  | 'CALLBACK_REPLAYED'
  | 'WEBHOOK_REDELIVERED'
  | 'IMAGE_DELETED'
  | 'BUDGET_CHANGED'
  | 'AUTHENTICATION_FAILED';

/** Actors of entries that no API key caused. */
export const SYSTEM_ACTORS = {
  firstStart: 'first start',
  createKeyScript: 'key:create',
  anonymous: 'anonymous',
} as const;

/** An audit log entry to insert. */
export interface NewAuditEntry {
  id: string;
  /** Null when the workspace is unknown, for example after a request with an unknown API key. */
  workspaceId: string | null;
  action: AuditAction;
  /** The API key's name, or one of SYSTEM_ACTORS. */
  actor: string;
  keyId: string | null;
  endUserId: string | null;
  clientAddress: string | null;
  /** The ID of the object of the action. */
  targetId: string | null;
  data: Record<string, unknown>;
}

/** An entry of the audit log. Entries are immutable. Only failed authentications are deleted, after 30 days. */
export interface AuditEntry extends NewAuditEntry {
  at: Date;
}

/** Creates the entry for an action of a caller on an object. `data` must not hold secrets. */
export function newAuditEntry(
  { workspaceId, keyName: actor, keyId, endUserId, clientAddress }: Caller,
  action: AuditAction,
  { targetId, data = {} }: { targetId: string; data?: Record<string, unknown> },
): NewAuditEntry {
  return { id: newId(), workspaceId, action, actor, keyId, endUserId, clientAddress, targetId, data };
}
