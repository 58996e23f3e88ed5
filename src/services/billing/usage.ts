import { z } from 'zod';
import { DAY_MS } from '../../core/primitives/clock.js';
import { type Caller } from '../../core/access/caller.js';
import { BadRequest, RateLimited } from '../../core/errors.js';
import { FairSlots, NoFreeSlot } from '../../core/limits/fair-slots.js';
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
const MAX_RUNNING_PER_WORKSPACE = 1;
/** Running or waiting: one report for each grouping. */
const MAX_REPORTS_PER_WORKSPACE = 4;
/** Twice the time limit of a report. */
const MAX_WAIT_MS = 60_000;
const BUSY_RETRY_AFTER_MS = 5_000;
const BY_GROUP = byColumns(z.object({ groupKey: CURSOR_TEXT.nullable(), currency: CURSOR_TEXT.nullable() }));

/**
 * Reports the usage of the tasks that are visible to the caller. A few reports run at the same time. The others wait, and
 * workspaces are served in rotation.
 */
export class Usage {
  private readonly slots = new FairSlots({
    capacity: MAX_RUNNING_REPORTS,
    maxPerOwner: MAX_RUNNING_PER_WORKSPACE,
  });
  private readonly countByWorkspace = new Map<string, number>();
  private readonly maxWaitMs: number;

  /** A report that would wait longer than `maxWaitMs` is refused. Default: 60 s. */
  constructor(
    private readonly usage: UsageRepository,
    { maxWaitMs = MAX_WAIT_MS }: { maxWaitMs?: number } = {},
  ) {
    this.maxWaitMs = maxWaitMs;
  }

  /**
   * Returns a page of groups, ordered by their keys. A report that still waits when `clientLeft` is aborted does not run. Throws
   * BadRequest, ReportTimedOut, and RateLimited when too many wait.
   */
  async page(
    caller: Caller,
    query: UsageQuery,
    { clientLeft, ...page }: PageRequest & { clientLeft?: AbortSignal | undefined },
  ): Promise<Page<UsageGroup>> {
    validateRange(query);
    return readPage(page, BY_GROUP, (after, limit) =>
      this.runReport(caller, clientLeft, () => this.usage.page(caller, query, { after, limit })),
    );
  }

  /** Returns all groups. Throws like `page`, and BadRequest for more than MAX_EXPORT_ROWS groups. */
  async listAll(caller: Caller, query: UsageQuery, clientLeft?: AbortSignal): Promise<UsageGroup[]> {
    validateRange(query);
    const page = { after: null, limit: MAX_EXPORT_ROWS + 1 };
    const rows = await this.runReport(caller, clientLeft, () => this.usage.page(caller, query, page));
    if (rows.length <= MAX_EXPORT_ROWS) return rows;
    throw new BadRequest(`The period has more than ${MAX_EXPORT_ROWS} groups. Use a shorter one.`);
  }

  private async runReport<Result>(
    { workspaceId }: Caller,
    signal: AbortSignal | undefined,
    report: () => Promise<Result>,
  ): Promise<Result> {
    const others = this.countByWorkspace.get(workspaceId) ?? 0;
    if (others >= MAX_REPORTS_PER_WORKSPACE) throw tooManyReports('This workspace has');
    this.countByWorkspace.set(workspaceId, others + 1);
    try {
      return await this.slots.run({ owner: workspaceId, maxWaitMs: this.maxWaitMs, signal }, report);
    } catch (error) {
      throw error instanceof NoFreeSlot ? tooManyReports('There are') : error;
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
