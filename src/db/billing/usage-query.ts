import { firstIdAt } from '../../core/primitives/ids.js';
import { type UsageGroup, type UsageGrouping } from '../../core/billing/money.js';
import { type Reach } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { reachValues, taskWithin } from '../access/visibility-filter.js';

/** A stretch of time, from the first moment to the one after the last, and how to add up what was asked for in it. */
export interface UsageQuery {
  from: Date;
  to: Date;
  groupBy: UsageGrouping;
}

/** A group's place in the list. */
export type UsagePlace = Pick<UsageGroup, 'key' | 'currency'>;

/** Ids are made by the instances' clocks, `created_at` by the database's: the index narrows, the time decides. */
const CLOCK_SKEW_MS = 3_600_000;

const KEYS: Record<UsageGrouping, string> = {
  DAY: `to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')`,
  MODEL: 'model',
  KEY: 'key_id::text',
  END_USER: 'end_user_id',
};

/** One statement for each grouping. What has no key, and what has no price, comes first: '' stands for it. */
function statement(groupBy: UsageGrouping) {
  return {
    name: `usage-by-${groupBy.toLowerCase()}`,
    text: `
    SELECT usage.*, ${groupBy === 'KEY' ? 'api_key.name' : 'NULL'} AS name FROM (
      SELECT ${KEYS[groupBy]} AS key, currency, count(*)::int AS tasks,
             sum(delivered_count + late_count)::int AS images, trim_scale(sum(spent))::text AS cost,
             trim_scale(sum(CASE WHEN finished_at IS NULL THEN unit_price * requested_count ELSE 0 * unit_price END))::text
               AS reserved,
             trim_scale(sum(held))::text AS held
      FROM tasks task
      WHERE ${taskWithin('task', 1)} AND id BETWEEN $4 AND $5 AND created_at >= $6 AND created_at < $7
      GROUP BY 1, 2
    ) usage
    ${groupBy === 'KEY' ? 'LEFT JOIN api_keys api_key ON api_key.id::text = usage.key AND api_key.workspace_id = $1' : ''}
    WHERE $8::text IS NULL
       OR (coalesce(key, ''), coalesce(currency, '')) > (($8::text) COLLATE "C", ($9::text) COLLATE "C")
    ORDER BY coalesce(key, '') COLLATE "C", coalesce(currency, '') COLLATE "C" LIMIT $10`,
  };
}
const STATEMENTS: Record<UsageGrouping, ReturnType<typeof statement>> = {
  DAY: statement('DAY'),
  MODEL: statement('MODEL'),
  KEY: statement('KEY'),
  END_USER: statement('END_USER'),
};

/** Up to `limit` groups of the tasks within reach, behind the one given. */
export async function findUsage(
  db: Database,
  reach: Reach,
  { from, to, groupBy }: UsageQuery,
  after: UsagePlace | null,
  limit: number,
): Promise<UsageGroup[]> {
  const ids = [from.getTime() - CLOCK_SKEW_MS, to.getTime() + CLOCK_SKEW_MS].map((ms) =>
    firstIdAt(new Date(ms)),
  );
  const place = after ? [after.key ?? '', after.currency ?? ''] : [null, null];
  const values = [...reachValues(reach), ...ids, from, to, ...place, limit];
  return db.within<UsageGroup>(reach.workspaceId, STATEMENTS[groupBy], values);
}
