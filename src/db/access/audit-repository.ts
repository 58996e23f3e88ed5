import { type AuditAction, type AuditEntry, type NewAuditEntry } from '../../core/access/audit-entry.js';
import { minIdAt, idTime } from '../../core/primitives/ids.js';
import { type Prisma } from '../generated/client.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

const COLUMNS = 'id, at, workspace_id, action, actor, key_id, end_user_id, client_address, target_id, data';

/**
 * SQL of a CTE that inserts an audit entry in the same commit as the rest of the statement. The statement needs the parameter
 * `:audit`, as `auditParameter` returns it. The entry is inserted only if the CTE named by `condition` has a row.
 */
export function insertAuditSql(condition: string): string {
  return `
  audit AS (
    INSERT INTO audit_log (${COLUMNS})
    SELECT id, at, "workspaceId", action, actor, "keyId", "endUserId", "clientAddress", "targetId", data
    FROM jsonb_to_recordset(coalesce(:audit::jsonb, '[]')) AS entry(
      id uuid, at timestamptz, "workspaceId" uuid, action text, actor text, "keyId" uuid, "endUserId" text,
      "clientAddress" text, "targetId" text, data jsonb)
    WHERE EXISTS (SELECT FROM ${condition})
  )`;
}

/** The value of `:audit`. An entry's time is the time of its ID, so that pages by ID are pages by time. */
export function auditParameter(entry: NewAuditEntry | undefined): string {
  return JSON.stringify(entry ? [{ ...entry, at: idTime(entry.id) }] : []);
}

/** The row of a new entry, for Prisma Client. */
export function auditRow(entry: NewAuditEntry) {
  // Prisma stores dates inside JSON as objects, so `data` has to be plain JSON.
  const data = JSON.parse(JSON.stringify(entry.data)) as Prisma.InputJsonObject;
  return { ...entry, at: idTime(entry.id), data };
}

/** Selects the entries of a page. Absent or empty fields select all entries. */
export interface AuditFilter {
  actions?: readonly AuditAction[] | null;
  keyId?: string | null;
  since?: Date | null;
  until?: Date | null;
}

/** The trigger of the table allows deleting these entries and no others. */
const DELETE_OLD_FAILURES = statement<{ limit: number }, { id: string }>(
  'delete-old-authentication-failures',
  `
  DELETE FROM audit_log WHERE id IN (
    SELECT id FROM audit_log WHERE action = 'AUTHENTICATION_FAILED' AND at < now() - interval '30 days'
    ORDER BY at LIMIT :limit)
  RETURNING id`,
);

/** The rows of `audit_log`. */
export class AuditRepository {
  constructor(private readonly db: Database) {}

  async insert(...entries: NewAuditEntry[]): Promise<void> {
    await this.db.prisma.auditEntry.createMany({ data: entries.map(auditRow) });
  }

  /** Deletes up to `limit` failed authentications that are older than 30 days. Returns their number. */
  async deleteOldFailures(limit: number): Promise<number> {
    return (await this.db.query(DELETE_OLD_FAILURES, { limit })).length;
  }

  /**
   * A page of the workspace's entries, newest first, below `before`. With `unowned`, also entries that belong to no workspace.
   * Throws RateLimited when too many slow pages are being read.
   */
  async page(
    { workspaceId, endUserId, unowned }: { workspaceId: string; endUserId: string | null; unowned: boolean },
    { actions, keyId, since, until }: AuditFilter,
    { before, limit }: { before: string | null; limit: number },
  ): Promise<AuditEntry[]> {
    const where: Prisma.AuditEntryWhereInput = {
      ...(unowned ? { OR: [{ workspaceId }, { workspaceId: null }] } : { workspaceId }),
      ...(actions?.length && { action: { in: [...actions] } }),
      ...(keyId && { keyId }),
      ...(endUserId !== null && { endUserId }),
      AND: [
        since ? { id: { gte: minIdAt(since) } } : {},
        until ? { id: { lt: minIdAt(until) } } : {},
        before ? { id: { lt: before } } : {},
      ],
    };
    const read = (prisma: Prisma.TransactionClient) =>
      prisma.auditEntry.findMany({ where, orderBy: { id: 'desc' }, take: limit });
    // No index has these columns, so a rare value is searched for in the whole log.
    const needsSlot = Boolean(actions?.length || keyId) || endUserId !== null;
    // The row-level security policy of callers hides entries that belong to no workspace.
    const rows = await (unowned
      ? this.db.runSlowRead({ workspaceId, endUserId }, () => read(this.db.prisma))
      : this.db.withPrismaAsCaller({ workspaceId, endUserId }, read, { needsSlot }));
    return rows as AuditEntry[];
  }
}
