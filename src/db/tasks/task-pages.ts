import { firstIdAt } from '../../core/primitives/ids.js';
import { type Task, type TaskKind, type TaskStatus } from '../../core/tasks/task.js';
import { type Reach } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { named } from '../postgres/named-statement.js';
import { Tasks } from './task-repository.js';

/** Which tasks a page shows. Absent or empty: all of them. */
export interface TaskFilter {
  statuses?: readonly TaskStatus[] | null;
  kinds?: readonly TaskKind[] | null;
  models?: readonly string[] | null;
  createdAfter?: Date | null;
  createdBefore?: Date | null;
  /** Words that the prompt must hold. */
  search?: string | null;
}

/**
 * A search that finds up to so many tasks is answered by sorting them (1 ms); one that finds more is so frequent
 * that a walk meets a page of it soon. Only walking, a rare word costs 250 ms in 100,000 tasks; only sorting, a word in
 * every eighth prompt 26 ms.
 */
const FEW_FOUND = 1_000;

/**
 * A page of the tasks within reach, newest first, below the task `before`. UUIDv7 ids sort by time, so the page is a walk
 * down an index on the id and costs the same at any depth. With statuses, or else models, each value walks its own index
 * and the walks are merged: a rare status in a long history costs no more than a common one.
 *
 * The ids are found first, alone: then the walk needs nothing but its index, and Postgres takes it. Asked for whole rows,
 * it would rather walk the primary key, which lies in the order of the table, and read the whole history for a status or
 * a workspace that is rare (14 ms in 100,000 tasks). They are found by a statement of their own, without row-level security:
 * behind it Postgres uses no index for a status or for words, as these comparisons might tell something of hidden rows. The
 * tasks themselves are read behind it.
 */
export async function pageOfTasks(
  db: Database,
  reach: Reach,
  filter: TaskFilter,
  before: string | null,
  limit: number,
): Promise<Task[]> {
  const { workspaceId, endUserId, taskIds } = reach;
  const values: unknown[] = [workspaceId, limit];
  const bind = (value: unknown, type: string) => `$${values.push(value)}::${type}`;
  const conditions = ['task.workspace_id = $1'];
  if (endUserId !== null) conditions.push(`task.end_user_id = ${bind(endUserId, 'text')}`);
  if (taskIds !== null) conditions.push(`task.id = ANY(${bind(taskIds, 'uuid[]')})`);
  if (before) conditions.push(`task.id < ${bind(before, 'uuid')}`);
  if (filter.createdAfter) conditions.push(`task.id >= ${bind(firstIdAt(filter.createdAfter), 'uuid')}`);
  if (filter.createdBefore) conditions.push(`task.id < ${bind(firstIdAt(filter.createdBefore), 'uuid')}`);
  if (filter.kinds?.length) conditions.push(`task.kind = ANY(${bind(filter.kinds, 'task_kind[]')})`);

  let walked: string | null = null;
  if (filter.statuses?.length) {
    walked = `unnest(${bind([...new Set(filter.statuses)], 'task_status[]')})`;
    if (filter.models?.length) conditions.push(`task.model = ANY(${bind(filter.models, 'text[]')})`);
    conditions.push('task.status = walked.value');
  } else if (filter.models?.length) {
    walked = `unnest(${bind([...new Set(filter.models)], 'text[]')})`;
    conditions.push('task.model = walked.value');
  }
  const among = walked ? `${walked} AS walked(value) CROSS JOIN ` : '';
  const walk = (where: string[]) => `
    SELECT task.id FROM ${among} LATERAL (
      SELECT task.id FROM tasks task WHERE ${where.join(' AND ')} ORDER BY task.id DESC LIMIT $2
    ) task ORDER BY task.id DESC LIMIT $2`;

  let ids = walk(conditions);
  if (filter.search?.trim()) {
    const words = `websearch_to_tsquery('simple', ${bind(filter.search, 'text')})`;
    const found = [...conditions, `to_tsvector('simple', task.prompt) @@ ${words}`];
    ids = `
    WITH found AS MATERIALIZED (
      SELECT task.id FROM ${among} tasks task WHERE ${found.join(' AND ')} LIMIT ${FEW_FOUND}
    ), few AS MATERIALIZED (SELECT count(*) < ${FEW_FOUND} AS yes FROM found)
    (SELECT id FROM found WHERE (SELECT yes FROM few) ORDER BY id DESC LIMIT $2)
    UNION ALL (${walk([...found, 'NOT (SELECT yes FROM few)'])})`;
  }
  const found = await db.run<{ id: string }>(named('page-of-task-ids', ids), values);
  if (found.length === 0) return [];
  const tasks = await new Tasks(db).findMany(
    reach,
    found.map(({ id }) => id),
  );
  return tasks.sort((one, other) => (one.id < other.id ? 1 : -1));
}
