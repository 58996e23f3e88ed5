import { type AuditEntry } from '../../core/access/audit-entry.js';
import { type Caller } from '../../core/access/caller.js';
import { isId } from '../../core/primitives/ids.js';
import { type AuditFilter, type AuditRepository } from '../../db/access/audit-repository.js';
import { invalidCursor, type Page, toPage, validatePageSize } from '../pagination.js';

export type { AuditFilter };

/** Reads the audit log. */
export class Audit {
  constructor(private readonly auditLog: AuditRepository) {}

  /**
   * Returns a page of the workspace's entries, newest first. A token of an end user sees only that end user's actions.
   * Entries without a workspace, such as requests with unknown keys, are visible to callers with the scope
   * `workspaces:admin`. Throws BadRequest for an invalid page size or cursor.
   */
  async page(
    caller: Caller,
    filter: AuditFilter,
    first: number,
    after: string | null,
  ): Promise<Page<AuditEntry>> {
    validatePageSize(first);
    if (after !== null && !isId(after)) throw invalidCursor();
    // A caller that is limited to certain tasks sees no entries.
    const isAlwaysEmpty = caller.taskIds !== null || (filter.keyId && !isId(filter.keyId));
    if (isAlwaysEmpty) return toPage([], first, after !== null, () => '');
    const { workspaceId, endUserId, scopes } = caller;
    const visibility = { workspaceId, endUserId, unowned: scopes.includes('workspaces:admin') };
    const rows = await this.auditLog.page(visibility, filter, after, first + 1);
    return toPage(rows, first, after !== null, (entry) => entry.id);
  }
}
