import { type Caller } from './caller.js';
import { newId } from '../primitives/ids.js';

/** What can be done that others must be able to read about afterwards. */
export const AUDIT_ACTIONS = [
  'KEY_CREATED',
  'KEY_REVOKED',
  'KEY_ROTATED',
  'TOKEN_ISSUED',
  'WORKSPACE_CREATED',
  'WEBHOOK_SECRET_ROTATED',
  'CALLBACK_REPLAYED',
  'CALLBACK_REDELIVERED',
  'IMAGE_DELETED',
  'BUDGET_CHANGED',
  'SIGN_IN_FAILED',
] as const;
export type AuditAction = (typeof AUDIT_ACTIONS)[number];

/** Who acts where nobody has a key yet, or needs one. */
export const OPERATORS = { start: 'first start', script: 'key:create', nobody: 'nobody' } as const;

/** One use of power, as it is written. */
export interface NewAuditEntry {
  id: string;
  /** Null: nobody knows whose it is. */
  workspaceId: string | null;
  action: AuditAction;
  /** A key's name, or one of OPERATORS. */
  actor: string;
  keyId: string | null;
  endUserId: string | null;
  /** The client's address. */
  source: string | null;
  /** The id of what it was done to. */
  subject: string | null;
  data: Record<string, unknown>;
}

export interface AuditEntry extends NewAuditEntry {
  at: Date;
}

/** The entry of something that a caller does. Secrets do not belong into `data`. */
export function auditEntry(
  { workspaceId, keyName, keyId, endUserId, source }: Caller,
  action: AuditAction,
  subject: string,
  data: Record<string, unknown> = {},
): NewAuditEntry {
  return { id: newId(), workspaceId, action, actor: keyName, keyId, endUserId, source, subject, data };
}
