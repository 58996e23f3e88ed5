import { minIdAt } from '../../core/primitives/ids.js';
import { type Task, type TaskKind, type TaskStatus } from '../../core/tasks/task.js';
import { type Visibility } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { namedStatement } from '../postgres/named-statement.js';
import { TaskRepository } from './task-repository.js';

/** Selects the tasks of a page. Absent or empty fields select all tasks. */
export interface TaskFilter {
  statuses?: readonly TaskStatus[] | null;
  kinds?: readonly TaskKind[] | null;
  models?: readonly string[] | null;
  createdAfter?: Date | null;
  createdBefore?: Date | null;
  /** Words that the prompt must contain. */
  search?: string | null;
}

/**
 * A text search with fewer matches sorts them (1 ms). With more matches, an index scan by ID finds a page of them soon. In
 * 100,000 tasks, scanning alone takes 250 ms for a rare word, and sorting alone 26 ms for a word in every eighth prompt.
 */
const MAX_SORTED_MATCHES = 1_000;

/**
 * A page of the visible tasks, newest first, below the task `before`. UUIDv7 IDs sort by time, so a page is a scan down an
 * index on the ID and costs the same at any depth. With statuses, or else models, each value has its own index scan and the
 * results are merged, so a rare status in a long history costs no more than a common one.
 *
 * The first statement finds only IDs, because then the scan needs nothing but its index, and PostgreSQL uses it. For whole
 * rows it would rather scan the primary key in table order, and read the whole history for a rare status or workspace (14 ms
 * in 100,000 tasks). That statement runs without row-level security, because PostgreSQL then uses no index for a status or a
 * text search: these comparisons could leak hidden rows. The second statement reads the tasks with row-level security.
 */
export async function pageOfTasks(
  db: Database,
  visibility: Visibility,
  filter: TaskFilter,
  before: string | null,
  limit: number,
): Promise<Task[]> {
  const { workspaceId, endUserId, taskIds } = visibility;
  const values: unknown[] = [workspaceId, limit];
  const bind = (value: unknown, type: string) => `$${values.push(value)}::${type}`;
  const conditions = ['task.workspace_id = $1'];
  if (endUserId !== null) conditions.push(`task.end_user_id = ${bind(endUserId, 'text')}`);
  if (taskIds !== null) conditions.push(`task.id = ANY(${bind(taskIds, 'uuid[]')})`);
  if (before) conditions.push(`task.id < ${bind(before, 'uuid')}`);
  if (filter.createdAfter) conditions.push(`task.id >= ${bind(minIdAt(filter.createdAfter), 'uuid')}`);
  if (filter.createdBefore) conditions.push(`task.id < ${bind(minIdAt(filter.createdBefore), 'uuid')}`);
  if (filter.kinds?.length) conditions.push(`task.kind = ANY(${bind(filter.kinds, 'task_kind[]')})`);

  let indexValues: string | null = null;
  if (filter.statuses?.length) {
    indexValues = `unnest(${bind([...new Set(filter.statuses)], 'task_status[]')})`;
    if (filter.models?.length) conditions.push(`task.model = ANY(${bind(filter.models, 'text[]')})`);
    conditions.push('task.status = filter.value');
  } else if (filter.models?.length) {
    indexValues = `unnest(${bind([...new Set(filter.models)], 'text[]')})`;
    conditions.push('task.model = filter.value');
  }
  const fromPrefix = indexValues ? `${indexValues} AS filter(value) CROSS JOIN ` : '';
  const indexScanSql = (where: string[]) => `
    SELECT task.id FROM ${fromPrefix} LATERAL (
      SELECT task.id FROM tasks task WHERE ${where.join(' AND ')} ORDER BY task.id DESC LIMIT $2
    ) task ORDER BY task.id DESC LIMIT $2`;

  let ids = indexScanSql(conditions);
  if (filter.search?.trim()) {
    const searchQuery = `websearch_to_tsquery('simple', ${bind(filter.search, 'text')})`;
    const found = [...conditions, `to_tsvector('simple', task.prompt) @@ ${searchQuery}`];
    ids = `
    WITH found AS MATERIALIZED (
      SELECT task.id FROM ${fromPrefix} tasks task WHERE ${found.join(' AND ')} LIMIT ${MAX_SORTED_MATCHES}
    ), few AS MATERIALIZED (SELECT count(*) < ${MAX_SORTED_MATCHES} AS yes FROM found)
    (SELECT id FROM found WHERE (SELECT yes FROM few) ORDER BY id DESC LIMIT $2)
    UNION ALL (${indexScanSql([...found, 'NOT (SELECT yes FROM few)'])})`;
  }
  const found = await db.run<{ id: string }>(namedStatement('page-of-task-ids', ids), values);
  if (found.length === 0) return [];
  const tasks = await new TaskRepository(db).findMany(
    visibility,
    found.map(({ id }) => id),
  );
  return tasks.sort((one, other) => (one.id < other.id ? 1 : -1));
}
