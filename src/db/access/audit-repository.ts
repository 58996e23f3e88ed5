import { type AuditAction, type AuditEntry, type NewAuditEntry } from '../../core/access/audit-entry.js';
import { firstIdAt, timeOf } from '../../core/primitives/ids.js';
import { type Database } from '../postgres/database.js';
import { named } from '../postgres/named-statement.js';

const COLUMNS = 'id, at, workspace_id, action, actor, key_id, end_user_id, source, subject, data';

/**
 * A part of a statement that writes audit entries in the same commit: those of a parameter (`$3`, `auditValue`), when its
 * part `of` has a row. None for null.
 */
export function audited(parameter: string, of: string): string {
  return `
  audit AS (
    INSERT INTO audit_log (${COLUMNS})
    SELECT id, at, "workspaceId", action, actor, "keyId", "endUserId", source, subject, data
    FROM jsonb_to_recordset(coalesce(${parameter}::jsonb, '[]')) AS entry(
      id uuid, at timestamptz, "workspaceId" uuid, action text, actor text, "keyId" uuid, "endUserId" text, source text, subject text,
      data jsonb)
    WHERE EXISTS (SELECT FROM ${of})
  )`;
}

/** The value of the parameter that `audited` names. An entry's time is that of its id, so that pages by id are pages by time. */
export function auditValue(...entries: (NewAuditEntry | null | undefined)[]): string {
  const given = entries.filter((entry) => entry != null);
  return JSON.stringify(given.map((entry) => ({ ...entry, at: timeOf(entry.id) })));
}

const INSERT = {
  name: 'insert-audit-entries',
  text: `WITH one AS (SELECT 1),${audited('$1', 'one')} SELECT`,
};

/** Which entries a page shows. Absent or empty: all of them. */
export interface AuditFilter {
  actions?: readonly AuditAction[] | null;
  keyId?: string | null;
  since?: Date | null;
  until?: Date | null;
}

/** The rows of `audit_log`. */
export class AuditLog {
  constructor(private readonly db: Database) {}

  async insert(...entries: NewAuditEntry[]): Promise<void> {
    if (entries.length > 0) await this.db.run(INSERT, [auditValue(...entries)]);
  }

  /** A page of the workspace's entries, newest first, below `before`; with `unowned`, also those that are nobody's. */
  async page(
    { workspaceId, endUserId, unowned }: { workspaceId: string; endUserId: string | null; unowned: boolean },
    filter: AuditFilter,
    before: string | null,
    limit: number,
  ): Promise<AuditEntry[]> {
    const { actions, keyId, since, until } = filter;
    const values: unknown[] = [];
    const bind = (value: unknown, type: string) => `$${values.push(value)}::${type}`;
    const own = `workspace_id = ${bind(workspaceId, 'uuid')}`;
    const conditions = [unowned ? `(${own} OR workspace_id IS NULL)` : own];
    if (actions?.length) conditions.push(`action = ANY(${bind(actions, 'text[]')})`);
    if (keyId) conditions.push(`key_id = ${bind(keyId, 'uuid')}`);
    if (endUserId !== null) conditions.push(`end_user_id = ${bind(endUserId, 'text')}`);
    if (since) conditions.push(`id >= ${bind(firstIdAt(since), 'uuid')}`);
    for (const end of [before, until && firstIdAt(until)]) {
      if (end) conditions.push(`id < ${bind(end, 'uuid')}`);
    }
    const text = `
      SELECT id, at, workspace_id AS "workspaceId", action, actor, key_id AS "keyId", end_user_id AS "endUserId", source,
             subject, data
      FROM audit_log WHERE ${conditions.join(' AND ')} ORDER BY id DESC LIMIT ${bind(limit, 'int')}`;
    const page = named('page-of-audit-entries', text);
    // What is nobody's is behind no workspace: the operators' scope reads it past the second line.
    return unowned ? this.db.run(page, values) : this.db.within(workspaceId, page, values);
  }
}
