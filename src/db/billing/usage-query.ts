import { minIdAt } from '../../core/primitives/ids.js';
import { type UsageGroup, type UsageGrouping } from '../../core/billing/money.js';
import { type Visibility } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { visibilityValues, isTaskVisibleSql } from '../access/visibility-filter.js';

/** Selects tasks by the time of their request, from `from` up to but not including `to`. */
export interface UsageQuery {
  from: Date;
  to: Date;
  groupBy: UsageGrouping;
}

/** Identifies a group, for the page that follows it. */
export type UsageCursor = Pick<UsageGroup, 'groupKey' | 'currency'>;

/** IDs come from the clocks of instances, and `created_at` from the clock of the database. IDs narrow the index scan, and `created_at` decides. */
const CLOCK_SKEW_MS = 3_600_000;

const GROUP_KEY_SQL: Record<UsageGrouping, string> = {
  DAY: `to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')`,
  MODEL: 'model',
  API_KEY: 'key_id::text',
  END_USER: 'end_user_id',
};

/** One statement for each grouping. Tasks without a group key or without a price come first, as ''. */
function usageStatement(groupBy: UsageGrouping) {
  return {
    name: `usage-by-${groupBy.toLowerCase().replace('_', '-')}`,
    text: `
    SELECT usage.*, ${groupBy === 'API_KEY' ? 'api_key.name' : 'NULL'} AS "keyName" FROM (
      SELECT ${GROUP_KEY_SQL[groupBy]} AS "groupKey", currency, count(*)::int AS "taskCount",
             sum(delivered_count + late_image_count)::int AS "imageCount", trim_scale(sum(spent))::text AS cost,
             trim_scale(sum(CASE WHEN finished_at IS NULL THEN unit_price * requested_count ELSE 0 * unit_price END))::text
               AS reserved,
             trim_scale(sum(uncertain))::text AS uncertain
      FROM tasks task
      WHERE ${isTaskVisibleSql('task', 1)} AND id BETWEEN $4 AND $5 AND created_at >= $6 AND created_at < $7
      GROUP BY 1, 2
    ) usage
    ${groupBy === 'API_KEY' ? 'LEFT JOIN api_keys api_key ON api_key.id::text = usage."groupKey" AND api_key.workspace_id = $1' : ''}
    WHERE $8::text IS NULL
       OR (coalesce("groupKey", ''), coalesce(currency, '')) > (($8::text) COLLATE "C", ($9::text) COLLATE "C")
    ORDER BY coalesce("groupKey", '') COLLATE "C", coalesce(currency, '') COLLATE "C" LIMIT $10`,
  };
}
const STATEMENTS: Record<UsageGrouping, ReturnType<typeof usageStatement>> = {
  DAY: usageStatement('DAY'),
  MODEL: usageStatement('MODEL'),
  API_KEY: usageStatement('API_KEY'),
  END_USER: usageStatement('END_USER'),
};

/** Up to `limit` groups of the visible tasks, after the group `after`. */
export async function findUsage(
  db: Database,
  visibility: Visibility,
  { from, to, groupBy }: UsageQuery,
  after: UsageCursor | null,
  limit: number,
): Promise<UsageGroup[]> {
  const ids = [from.getTime() - CLOCK_SKEW_MS, to.getTime() + CLOCK_SKEW_MS].map((ms) =>
    minIdAt(new Date(ms)),
  );
  const cursor = after ? [after.groupKey ?? '', after.currency ?? ''] : [null, null];
  const values = [...visibilityValues(visibility), ...ids, from, to, ...cursor, limit];
  return db.runAsCaller<UsageGroup>(visibility.workspaceId, STATEMENTS[groupBy], values);
}
