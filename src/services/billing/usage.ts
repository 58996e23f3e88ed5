import { type Caller } from '../../core/access/caller.js';
import { BadRequest } from '../../core/errors.js';
import { type UsageGroup } from '../../core/billing/money.js';
import { type Database } from '../../db/postgres/database.js';
import { findUsage, type UsagePlace, type UsageQuery } from '../../db/billing/usage-query.js';
import { checkPageSize, type Page, toPage } from '../pagination.js';

export type { UsageQuery };

/** A leap year: what adding up costs grows with the tasks that were asked for. */
const MAX_DAYS = 366;
const DAY_MS = 24 * 3_600 * 1000;
/** Rows of one table; some 5 MB. */
const MAX_TABLE_ROWS = 50_000;
const NUL = '\0';

/** What the tasks that the caller may see came to. */
export class Usage {
  constructor(private readonly db: Database) {}

  /** A page of groups in the order of their keys. Throws BadRequest. */
  async page(
    caller: Caller,
    query: UsageQuery,
    first: number,
    after: string | null,
  ): Promise<Page<UsageGroup>> {
    checkPageSize(first);
    checkRange(query);
    const place = after === null ? null : placeOf(after);
    const rows = await findUsage(this.db, caller, query, place, first + 1);
    return toPage(rows, first, after !== null, ({ key, currency }) =>
      Buffer.from(JSON.stringify([key, currency])).toString('base64url'),
    );
  }

  /** All groups at once. Throws BadRequest, also where there are too many for one table. */
  async table(caller: Caller, query: UsageQuery): Promise<UsageGroup[]> {
    checkRange(query);
    const rows = await findUsage(this.db, caller, query, null, MAX_TABLE_ROWS + 1);
    if (rows.length <= MAX_TABLE_ROWS) return rows;
    throw new BadRequest(`There are more than ${MAX_TABLE_ROWS} groups. Ask for a shorter time.`);
  }
}

function checkRange({ from, to }: UsageQuery): void {
  const days = (to.getTime() - from.getTime()) / DAY_MS;
  if (days > 0 && days <= MAX_DAYS) return;
  throw new BadRequest(`\`to\` must be after \`from\`, and at most ${MAX_DAYS} days after it.`);
}

/** Throws BadRequest for a cursor that is not of this list. */
function placeOf(cursor: string): UsagePlace {
  try {
    const [key, currency] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as unknown[];
    if (isPart(key) && isPart(currency)) return { key, currency };
  } catch {
    // as below
  }
  throw new BadRequest('`after` is not a cursor of this list.');
}

function isPart(part: unknown): part is string | null {
  return part === null || (typeof part === 'string' && !part.includes(NUL));
}
