import { MAX_ID_SKEW_MS, minIdAt } from '../../core/primitives/ids.js';
import { DatabaseUnavailable, ReportTimedOut } from '../../core/errors.js';
import { type UsageGroup, type UsageGrouping } from '../../core/billing/money.js';
import { type Visibility } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { isStatementTimeout } from '../postgres/database-errors.js';
import { IS_TASK_VISIBLE_SQL } from '../access/visibility-filter.js';
import { statement } from '../postgres/statement.js';

/** Selects tasks by the time of their request, from `from` up to but not including `to`. */
export interface UsageQuery {
  from: Date;
  to: Date;
  groupBy: UsageGrouping;
}

/** Identifies a group, for the page that follows it. */
export type UsageCursor = Pick<UsageGroup, 'groupKey' | 'currency'>;

/** A report sums all tasks of its time. The client waits for it, and other requests do not. */
const USAGE_TIMEOUT_MS = 30_000;

const GROUP_KEY_SQL: Record<UsageGrouping, string> = {
  DAY: `to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')`,
  MODEL: 'model',
  API_KEY: 'key_id::text',
  END_USER: 'end_user_id',
};

interface UsageParameters extends Visibility, Pick<UsageQuery, 'from' | 'to'> {
  /** The smallest IDs of those times, less and plus MAX_ID_SKEW_MS. They narrow the index scan, and `created_at` decides. */
  minId: string;
  maxId: string;
  /** Null: from the first group on. */
  afterGroupKey: string | null;
  afterCurrency: string | null;
  limit: number;
}

/** One statement for each grouping. Tasks without a group key or without a price come first, as ''. */
function usageStatement(groupBy: UsageGrouping) {
  return statement<UsageParameters, UsageGroup>(
    `usage-by-${groupBy.toLowerCase().replace('_', '-')}`,
    `
    SELECT usage.*, ${groupBy === 'API_KEY' ? 'api_key.name' : 'NULL'} AS "keyName" FROM (
      SELECT ${GROUP_KEY_SQL[groupBy]} AS "groupKey", currency, count(*)::int AS "taskCount",
             sum(delivered_count + late_image_count)::int AS "imageCount", trim_scale(sum(spent))::text AS cost,
             trim_scale(sum(CASE WHEN finished_at IS NULL THEN unit_price * requested_count ELSE 0 * unit_price END))::text
               AS reserved,
             trim_scale(sum(uncertain))::text AS uncertain
      FROM tasks task
      WHERE ${IS_TASK_VISIBLE_SQL} AND id BETWEEN :minId AND :maxId AND created_at >= :from AND created_at < :to
      GROUP BY 1, 2
    ) usage
    ${groupBy === 'API_KEY' ? 'LEFT JOIN api_keys api_key ON api_key.id::text = usage."groupKey" AND api_key.workspace_id = :workspaceId' : ''}
    WHERE :afterGroupKey::text IS NULL
       OR (coalesce("groupKey", ''), coalesce(currency, '')) > ((:afterGroupKey::text) COLLATE "C", (:afterCurrency::text) COLLATE "C")
    ORDER BY coalesce("groupKey", '') COLLATE "C", coalesce(currency, '') COLLATE "C" LIMIT :limit`,
    // `Usage` bounds the reports that run, and their connections are not those of requests.
    { needsSlot: false },
  );
}
const STATEMENTS: Record<UsageGrouping, ReturnType<typeof usageStatement>> = {
  DAY: usageStatement('DAY'),
  MODEL: usageStatement('MODEL'),
  API_KEY: usageStatement('API_KEY'),
  END_USER: usageStatement('END_USER'),
};

/** Sums over the rows of `tasks`. */
export class UsageRepository {
  /** A report that takes longer than `timeoutMs` is canceled. Default: 30 s. */
  constructor(
    private readonly db: Database,
    private readonly timeoutMs = USAGE_TIMEOUT_MS,
  ) {}

  /** Up to `limit` groups of the visible tasks, after the group `after`. Throws ReportTimedOut. */
  async page(
    { workspaceId, endUserId, taskIds }: Visibility,
    { from, to, groupBy }: UsageQuery,
    { after, limit }: { after: UsageCursor | null; limit: number },
  ): Promise<UsageGroup[]> {
    const parameters = {
      ...{ workspaceId, endUserId, taskIds, from, to, limit },
      minId: minIdAt(new Date(from.getTime() - MAX_ID_SKEW_MS)),
      maxId: minIdAt(new Date(to.getTime() + MAX_ID_SKEW_MS)),
      afterGroupKey: after && (after.groupKey ?? ''),
      afterCurrency: after && (after.currency ?? ''),
    };
    const { timeoutMs } = this;
    try {
      return await this.db.queryAsCaller({ workspaceId }, { ...STATEMENTS[groupBy], timeoutMs }, parameters);
    } catch (error) {
      if (error instanceof DatabaseUnavailable && isStatementTimeout(error.cause))
        throw new ReportTimedOut(timeoutMs, error);
      throw error;
    }
  }
}
