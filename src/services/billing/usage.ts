import { z } from 'zod';
import { type Caller } from '../../core/access/caller.js';
import { BadRequest } from '../../core/errors.js';
import { type UsageGroup } from '../../core/billing/money.js';
import { type UsageQuery, type UsageRepository } from '../../db/billing/usage-repository.js';
import { byColumns, CURSOR_TEXT } from '../pagination/page-cursors.js';
import { type Page, type PageRequest, readPage } from '../pagination/read-page.js';

export type { UsageQuery };

/** A leap year. The cost of the query grows with the number of tasks in the range. */
const MAX_DAYS = 366;
const DAY_MS = 24 * 3_600 * 1000;
/** The rows of one CSV file, about 5 MB. */
const MAX_EXPORT_ROWS = 50_000;
const BY_GROUP = byColumns(z.object({ groupKey: CURSOR_TEXT.nullable(), currency: CURSOR_TEXT.nullable() }));

/** Reports the usage of the tasks that are visible to the caller. */
export class Usage {
  constructor(private readonly usage: UsageRepository) {}

  /** Returns a page of groups, ordered by their keys. Throws BadRequest. */
  async page(caller: Caller, query: UsageQuery, page: PageRequest): Promise<Page<UsageGroup>> {
    validateRange(query);
    return readPage(page, BY_GROUP, (after, limit) => this.usage.page(caller, query, { after, limit }));
  }

  /** Returns all groups. Throws BadRequest, also for more than MAX_EXPORT_ROWS groups. */
  async listAll(caller: Caller, query: UsageQuery): Promise<UsageGroup[]> {
    validateRange(query);
    const rows = await this.usage.page(caller, query, { after: null, limit: MAX_EXPORT_ROWS + 1 });
    if (rows.length <= MAX_EXPORT_ROWS) return rows;
    throw new BadRequest(`The period has more than ${MAX_EXPORT_ROWS} groups. Use a shorter one.`);
  }
}

function validateRange({ from, to }: UsageQuery): void {
  const days = (to.getTime() - from.getTime()) / DAY_MS;
  if (days > 0 && days <= MAX_DAYS) return;
  throw new BadRequest(`\`to\` must be after \`from\`, by at most ${MAX_DAYS} days.`);
}
