import { bulkhead, BulkheadRejectedError } from 'cockatiel';
import { z } from 'zod';
import { DAY_MS } from '../../core/primitives/clock.js';
import { type Caller } from '../../core/access/caller.js';
import { BadRequest, RateLimited } from '../../core/errors.js';
import { type UsageGroup } from '../../core/billing/money.js';
import { type UsageQuery, type UsageRepository } from '../../db/billing/usage-repository.js';
import { byColumns, CURSOR_TEXT } from '../pagination/page-cursors.js';
import { type Page, type PageRequest, readPage } from '../pagination/read-page.js';

export type { UsageQuery };

/** A leap year. The cost of the query grows with the number of tasks in the range. */
const MAX_DAYS = 366;
/** The rows of one CSV file, about 5 MB. */
const MAX_EXPORT_ROWS = 50_000;
/** Each report can sum up a year of tasks. Two of them leave background work, such as webhooks, half of its connections. */
const MAX_RUNNING_REPORTS = 2;
/** With the time limit of a report, the last one waits for a minute at most. */
const MAX_WAITING_REPORTS = 4;
/** Running or waiting. One report for each grouping, and room for other workspaces. */
const MAX_REPORTS_PER_WORKSPACE = 4;
const BUSY_RETRY_AFTER_MS = 5_000;
const BY_GROUP = byColumns(z.object({ groupKey: CURSOR_TEXT.nullable(), currency: CURSOR_TEXT.nullable() }));

/** Reports the usage of the tasks that are visible to the caller. A few reports run at a time, and a few more wait for them. */
export class Usage {
  private readonly slots = bulkhead(MAX_RUNNING_REPORTS, MAX_WAITING_REPORTS);
  private readonly countByWorkspace = new Map<string, number>();

  constructor(private readonly usage: UsageRepository) {}

  /** Returns a page of groups, ordered by their keys. Throws BadRequest, ReportTimedOut, and RateLimited when too many wait. */
  async page(caller: Caller, query: UsageQuery, page: PageRequest): Promise<Page<UsageGroup>> {
    validateRange(query);
    return readPage(page, BY_GROUP, (after, limit) =>
      this.runReport(caller, () => this.usage.page(caller, query, { after, limit })),
    );
  }

  /** Returns all groups. Throws like `page`, and BadRequest for more than MAX_EXPORT_ROWS groups. */
  async listAll(caller: Caller, query: UsageQuery): Promise<UsageGroup[]> {
    validateRange(query);
    const limit = MAX_EXPORT_ROWS + 1;
    const rows = await this.runReport(caller, () => this.usage.page(caller, query, { after: null, limit }));
    if (rows.length <= MAX_EXPORT_ROWS) return rows;
    throw new BadRequest(`The period has more than ${MAX_EXPORT_ROWS} groups. Use a shorter one.`);
  }

  private async runReport<Result>({ workspaceId }: Caller, report: () => Promise<Result>): Promise<Result> {
    const others = this.countByWorkspace.get(workspaceId) ?? 0;
    if (others >= MAX_REPORTS_PER_WORKSPACE) throw tooManyReports('This workspace has');
    this.countByWorkspace.set(workspaceId, others + 1);
    try {
      return await this.slots.execute(report);
    } catch (error) {
      throw error instanceof BulkheadRejectedError ? tooManyReports('There are') : error;
    } finally {
      const count = (this.countByWorkspace.get(workspaceId) ?? 1) - 1;
      if (count > 0) this.countByWorkspace.set(workspaceId, count);
      else this.countByWorkspace.delete(workspaceId);
    }
  }
}

function tooManyReports(subject: string): RateLimited {
  const message = `${subject} too many usage reports that run or wait. Try again when one of them has finished.`;
  return new RateLimited(message, BUSY_RETRY_AFTER_MS);
}

function validateRange({ from, to }: UsageQuery): void {
  const days = (to.getTime() - from.getTime()) / DAY_MS;
  if (days > 0 && days <= MAX_DAYS) return;
  throw new BadRequest(`\`to\` must be after \`from\`, by at most ${MAX_DAYS} days.`);
}
