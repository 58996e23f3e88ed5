import { type AuditEntry } from '../core/audit.js';
import { type Caller } from '../core/caller.js';
import { BadRequest } from '../core/errors.js';
import { isId } from '../core/ids.js';
import { type AuditFilter, type AuditLog } from '../db/audit-log.js';
import { checkPageSize, type Page, toPage } from './page.js';

export type { AuditFilter };

/** Who used what power, for those who may know. */
export class Audit {
  constructor(private readonly entries: AuditLog) {}

  /**
   * A page of the workspace's entries, newest first. Those that are nobody's, such as sign-ins with unknown keys, are for
   * callers who look after all workspaces. Throws BadRequest for a size or a cursor that cannot be.
   */
  async page(
    { workspaceId, scopes }: Caller,
    filter: AuditFilter,
    first: number,
    after: string | null,
  ): Promise<Page<AuditEntry>> {
    checkPageSize(first);
    if (after !== null && !isId(after)) throw new BadRequest('`after` is not a cursor of this list.');
    if (filter.keyId && !isId(filter.keyId)) return toPage([], first, after !== null, () => '');
    const whose = { workspaceId, unowned: scopes.includes('workspaces:admin') };
    const rows = await this.entries.page(whose, filter, after, first + 1);
    return toPage(rows, first, after !== null, (entry) => entry.id);
  }
}
