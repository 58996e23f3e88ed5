import { type AuditAction, type AuditEntry, type NewAuditEntry } from '../../core/access/audit-entry.js';
import { minIdAt, idTime } from '../../core/primitives/ids.js';
import { type Database } from '../postgres/database.js';
import { namedStatement } from '../postgres/named-statement.js';

const COLUMNS = 'id, at, workspace_id, action, actor, key_id, end_user_id, client_address, target_id, data';

/**
 * SQL of a CTE that inserts audit entries in the same commit as the rest of the statement. `parameter` (such as `$3`) holds
 * the entries, as `auditParameter` returns them. They are inserted only if the CTE named by `condition` has a row.
 */
export function insertAuditSql(parameter: string, condition: string): string {
  return `
  audit AS (
    INSERT INTO audit_log (${COLUMNS})
    SELECT id, at, "workspaceId", action, actor, "keyId", "endUserId", "clientAddress", "targetId", data
    FROM jsonb_to_recordset(coalesce(${parameter}::jsonb, '[]')) AS entry(
      id uuid, at timestamptz, "workspaceId" uuid, action text, actor text, "keyId" uuid, "endUserId" text,
      "clientAddress" text, "targetId" text, data jsonb)
    WHERE EXISTS (SELECT FROM ${condition})
  )`;
}

/** The value of the parameter of `insertAuditSql`. An entry's time is the time of its ID, so that pages by ID are pages by time. */
export function auditParameter(...entries: (NewAuditEntry | null | undefined)[]): string {
  const present = entries.filter((entry) => entry != null);
  return JSON.stringify(present.map((entry) => ({ ...entry, at: idTime(entry.id) })));
}

const INSERT = {
  name: 'insert-audit-entries',
  text: `WITH one AS (SELECT 1),${insertAuditSql('$1', 'one')} SELECT`,
};

/** Selects the entries of a page. Absent or empty fields select all entries. */
export interface AuditFilter {
  actions?: readonly AuditAction[] | null;
  keyId?: string | null;
  since?: Date | null;
  until?: Date | null;
}

/** The rows of `audit_log`. */
export class AuditRepository {
  constructor(private readonly db: Database) {}

  async insert(...entries: NewAuditEntry[]): Promise<void> {
    if (entries.length > 0) await this.db.run(INSERT, [auditParameter(...entries)]);
  }

  /** A page of the workspace's entries, newest first, below `before`. With `unowned`, also entries that belong to no workspace. */
  async page(
    { workspaceId, endUserId, unowned }: { workspaceId: string; endUserId: string | null; unowned: boolean },
    filter: AuditFilter,
    before: string | null,
    limit: number,
  ): Promise<AuditEntry[]> {
    const { actions, keyId, since, until } = filter;
    const values: unknown[] = [];
    const bind = (value: unknown, type: string) => `$${values.push(value)}::${type}`;
    const isOwn = `workspace_id = ${bind(workspaceId, 'uuid')}`;
    const conditions = [unowned ? `(${isOwn} OR workspace_id IS NULL)` : isOwn];
    if (actions?.length) conditions.push(`action = ANY(${bind(actions, 'text[]')})`);
    if (keyId) conditions.push(`key_id = ${bind(keyId, 'uuid')}`);
    if (endUserId !== null) conditions.push(`end_user_id = ${bind(endUserId, 'text')}`);
    if (since) conditions.push(`id >= ${bind(minIdAt(since), 'uuid')}`);
    for (const end of [before, until && minIdAt(until)]) {
      if (end) conditions.push(`id < ${bind(end, 'uuid')}`);
    }
    const text = `
      SELECT id, at, workspace_id AS "workspaceId", action, actor, key_id AS "keyId", end_user_id AS "endUserId",
             client_address AS "clientAddress", target_id AS "targetId", data
      FROM audit_log WHERE ${conditions.join(' AND ')} ORDER BY id DESC LIMIT ${bind(limit, 'int')}`;
    const page = namedStatement('page-of-audit-entries', text);
    // The row-level security policy of callers hides entries that belong to no workspace.
    return unowned ? this.db.run(page, values) : this.db.runAsCaller(workspaceId, page, values);
  }
}
