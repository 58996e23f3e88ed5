import { type AuditEntry } from '../../core/access/audit-entry.js';
import { type Caller } from '../../core/access/caller.js';
import { isId } from '../../core/primitives/ids.js';
import { type AuditFilter, type AuditRepository } from '../../db/access/audit-repository.js';
import { deleteInBatches } from '../../core/primitives/delete-in-batches.js';
import { BY_ID } from '../pagination/page-cursors.js';
import { type Page, type PageRequest, readPage } from '../pagination/read-page.js';

export type { AuditFilter };

/** Reads the audit log. */
export class Audit {
  constructor(private readonly auditLog: AuditRepository) {}

  /** Deletes failed authentications that are older than 30 days. Anyone can cause them, as many as they like. */
  async deleteOldFailures(signal?: AbortSignal): Promise<void> {
    await deleteInBatches((limit) => this.auditLog.deleteOldFailures(limit), signal);
  }

  /**
   * Returns a page of the workspace's entries, newest first. A token of an end user sees only that end user's actions.
   * Entries without a workspace, such as requests with unknown keys, are visible to callers with the scope
   * `workspaces:admin`. Throws BadRequest for an invalid page size or cursor.
   */
  page(caller: Caller, filter: AuditFilter, page: PageRequest): Promise<Page<AuditEntry>> {
    // A caller that is limited to certain tasks sees no entries.
    const isAlwaysEmpty = caller.taskIds !== null || (filter.keyId && !isId(filter.keyId));
    const { workspaceId, endUserId, scopes } = caller;
    const visibility = { workspaceId, endUserId, unowned: scopes.includes('workspaces:admin') };
    return readPage(page, BY_ID, (before, limit) =>
      isAlwaysEmpty ? [] : this.auditLog.page(visibility, filter, { before, limit }),
    );
  }
}
