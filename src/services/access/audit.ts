import { type AuditEntry } from '../../core/access/audit-entry.js';
import { type Caller } from '../../core/access/caller.js';
import { BadRequest } from '../../core/errors.js';
import { isId } from '../../core/primitives/ids.js';
import { type AuditFilter, type AuditLog } from '../../db/access/audit-repository.js';
import { checkPageSize, type Page, toPage } from '../pagination.js';

export type { AuditFilter };

/** Who used what power, for those who may know. */
export class Audit {
  constructor(private readonly entries: AuditLog) {}

  /**
   * A page of the workspace's entries, newest first; for a token of an end user, of what they did themselves. Those that are nobody's, such as sign-ins with unknown keys, are for
   * callers who look after all workspaces. Throws BadRequest for a size or a cursor that cannot be.
   */
  async page(
    caller: Caller,
    filter: AuditFilter,
    first: number,
    after: string | null,
  ): Promise<Page<AuditEntry>> {
    checkPageSize(first);
    if (after !== null && !isId(after)) throw new BadRequest('`after` is not a cursor of this list.');
    // Of what was done with certain tasks, nothing is told here.
    const isOfNothing = caller.taskIds !== null || (filter.keyId && !isId(filter.keyId));
    if (isOfNothing) return toPage([], first, after !== null, () => '');
    const { workspaceId, endUserId, scopes } = caller;
    const whose = { workspaceId, endUserId, unowned: scopes.includes('workspaces:admin') };
    const rows = await this.entries.page(whose, filter, after, first + 1);
    return toPage(rows, first, after !== null, (entry) => entry.id);
  }
}
