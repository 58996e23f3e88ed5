import { type Caller } from '../../core/access/caller.js';
import { BadRequest } from '../../core/errors.js';
import { type UsageGroup } from '../../core/billing/money.js';
import { type Database } from '../../db/postgres/database.js';
import { findUsage, type UsageCursor, type UsageQuery } from '../../db/billing/usage-query.js';
import {
  decodePageCursor,
  encodePageCursor,
  invalidCursor,
  type Page,
  toPage,
  validatePageSize,
} from '../pagination.js';

export type { UsageQuery };

/** A leap year. The cost of the query grows with the number of tasks in the range. */
const MAX_DAYS = 366;
const DAY_MS = 24 * 3_600 * 1000;
/** The rows of one CSV file, about 5 MB. */
const MAX_EXPORT_ROWS = 50_000;
const NUL = '\0';

/** Reports the usage of the tasks that are visible to the caller. */
export class Usage {
  constructor(private readonly db: Database) {}

  /** Returns a page of groups, ordered by their keys. Throws BadRequest. */
  async page(
    caller: Caller,
    query: UsageQuery,
    first: number,
    after: string | null,
  ): Promise<Page<UsageGroup>> {
    validatePageSize(first);
    validateRange(query);
    const cursor = after === null ? null : decodeCursor(after);
    const rows = await findUsage(this.db, caller, query, cursor, first + 1);
    return toPage(rows, first, after !== null, ({ groupKey, currency }) =>
      encodePageCursor([groupKey, currency]),
    );
  }

  /** Returns all groups. Throws BadRequest, also for more than MAX_EXPORT_ROWS groups. */
  async listAll(caller: Caller, query: UsageQuery): Promise<UsageGroup[]> {
    validateRange(query);
    const rows = await findUsage(this.db, caller, query, null, MAX_EXPORT_ROWS + 1);
    if (rows.length <= MAX_EXPORT_ROWS) return rows;
    throw new BadRequest(`The period has more than ${MAX_EXPORT_ROWS} groups. Use a shorter one.`);
  }
}

function validateRange({ from, to }: UsageQuery): void {
  const days = (to.getTime() - from.getTime()) / DAY_MS;
  if (days > 0 && days <= MAX_DAYS) return;
  throw new BadRequest(`\`to\` must be after \`from\`, by at most ${MAX_DAYS} days.`);
}

/** Throws BadRequest for a cursor of another list. */
function decodeCursor(cursor: string): UsageCursor {
  const [groupKey, currency] = decodePageCursor(cursor);
  if (isCursorPart(groupKey) && isCursorPart(currency)) return { groupKey, currency };
  throw invalidCursor();
}

function isCursorPart(part: unknown): part is string | null {
  return part === null || (typeof part === 'string' && !part.includes(NUL));
}
