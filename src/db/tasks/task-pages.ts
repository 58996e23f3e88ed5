import { minIdAt } from '../../core/primitives/ids.js';
import { type TaskKind, type TaskStatus } from '../../core/tasks/task.js';
import { type Visibility } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { assembledStatement } from '../postgres/statement.js';
import { promptQuery } from './prompt-search.js';

/** Selects the tasks of a page. Absent or empty fields select all tasks. */
export interface TaskFilter {
  statuses?: readonly TaskStatus[] | null;
  kinds?: readonly TaskKind[] | null;
  models?: readonly string[] | null;
  createdAfter?: Date | null;
  createdBefore?: Date | null;
  /** Words that the prompt must contain (`parseSearch`). */
  search?: string | null;
}

/**
 * A text search with fewer matches sorts them (1 ms). With more matches, an index scan by ID finds a page of them soon. In
 * 100,000 tasks, scanning alone takes 250 ms for a rare word, and sorting alone 26 ms for a word in every eighth prompt.
 */
const MAX_SORTED_MATCHES = 1_000;

/** Prompts under the names of tasks. A search that filters by nothing else does not read tasks. */
const PROMPTS = '(SELECT workspace_id, task_id AS id, terms FROM searchable_prompts) task';

/**
 * Tasks with the terms of their prompts, and the tasks of `found`. OFFSET 0: each row leads to one row of the other table.
 * Without statistics, PostgreSQL would rather read all of it.
 */
const TASKS_WITH_PROMPTS = `tasks task CROSS JOIN LATERAL (
  SELECT terms FROM searchable_prompts WHERE workspace_id = task.workspace_id AND task_id = task.id OFFSET 0) prompt`;
const FOUND_TASKS = 'found CROSS JOIN LATERAL (SELECT * FROM tasks WHERE id = found.id OFFSET 0) task';

/** A page of the visible tasks, newest first, below the task `before`. */
interface TaskPageRequest {
  visibility: Visibility;
  filter: TaskFilter;
  before: string | null;
  limit: number;
}

/**
 * The IDs of a page of tasks. UUIDv7 IDs sort by time, so a page is a scan down an index on the ID and costs the same at any
 * depth. With statuses, or else models, each value has its own index scan and the results are merged, so a rare status in a
 * long history costs no more than a common one.
 *
 * The statement finds only IDs, because then the scan needs nothing but its index, and PostgreSQL uses it. For whole rows it
 * would rather scan the primary key in table order, and read the whole history for a rare status or workspace (14 ms in
 * 100,000 tasks). It runs without row-level security, because PostgreSQL then uses no index for a status or a text search:
 * these comparisons could leak hidden rows. The tasks themselves are read with row-level security. Throws RateLimited when too many
 * slow pages are being read.
 */
export async function findPageOfTaskIds(db: Database, request: TaskPageRequest): Promise<string[]> {
  const { visibility, filter, before, limit } = request;
  const { workspaceId, endUserId, taskIds } = visibility;
  const { kinds, createdAfter, createdBefore } = filter;
  const search = filter.search?.trim() ? promptQuery(workspaceId, filter.search) : undefined;
  if (search === null) return [];
  const statuses = [...new Set(filter.statuses)];
  const models = [...new Set(filter.models)];
  const idConditions = ['task.workspace_id = :workspaceId'];
  if (taskIds !== null) idConditions.push('task.id = ANY(:taskIds::uuid[])');
  if (before) idConditions.push('task.id < :before::uuid');
  if (createdAfter) idConditions.push('task.id >= :fromId::uuid');
  if (createdBefore) idConditions.push('task.id < :toId::uuid');
  const rowConditions: string[] = [];
  if (endUserId !== null) rowConditions.push('task.end_user_id = :endUserId');
  if (kinds?.length) rowConditions.push('task.kind = ANY(:kinds::task_kind[])');

  let fromPrefix = '';
  if (statuses.length > 0) {
    fromPrefix = 'unnest(:statuses::task_status[]) AS filter(value) CROSS JOIN ';
    if (models.length > 0) rowConditions.push('task.model = ANY(:models::text[])');
    rowConditions.push('task.status = filter.value');
  } else if (models.length > 0) {
    fromPrefix = 'unnest(:models::text[]) AS filter(value) CROSS JOIN ';
    rowConditions.push('task.model = filter.value');
  }
  const conditions = [...idConditions, ...rowConditions];
  const indexScanSql = (from: string, where: string[]) => `
    SELECT task.id FROM ${fromPrefix} LATERAL (
      SELECT task.id FROM ${from} WHERE ${where.join(' AND ')} ORDER BY task.id DESC LIMIT :limit
    ) task ORDER BY task.id DESC LIMIT :limit`;

  let sql = indexScanSql('tasks task', conditions);
  if (search) {
    const isMatch = 'terms @@ :search::tsquery';
    const hasRowConditions = rowConditions.length > 0;
    const scanSql = (...where: string[]) =>
      indexScanSql(hasRowConditions ? TASKS_WITH_PROMPTS : PROMPTS, [...conditions, isMatch, ...where]);
    const foundSql = hasRowConditions
      ? `${fromPrefix} ${FOUND_TASKS} WHERE ${conditions.join(' AND ')} AND`
      : 'found task WHERE';
    sql = search.isSelective
      ? `
      WITH found AS MATERIALIZED (
        SELECT task.id FROM ${PROMPTS} WHERE ${[...idConditions, isMatch].join(' AND ')} LIMIT ${MAX_SORTED_MATCHES}
      ), few AS MATERIALIZED (SELECT count(*) < ${MAX_SORTED_MATCHES} AS yes FROM found)
      (SELECT task.id FROM ${foundSql} (SELECT yes FROM few) ORDER BY task.id DESC LIMIT :limit)
      UNION ALL (${scanSql('NOT (SELECT yes FROM few)')})`
      : scanSql();
  }
  const read = assembledStatement<object, { id: string }>('page-of-task-ids', sql);
  const parameters = {
    workspaceId,
    endUserId,
    taskIds,
    before,
    limit,
    fromId: createdAfter && minIdAt(createdAfter),
    toId: createdBefore && minIdAt(createdBefore),
    kinds,
    statuses,
    models,
    search: search?.text,
  };
  // Without an index for the filter, the scan may read all tasks of the workspace.
  const indexedFilters = [statuses.length > 0, models.length > 0, endUserId !== null];
  const isSlow = search || kinds?.length || indexedFilters.filter(Boolean).length > 1;
  const rows = isSlow
    ? await db.runSlowRead(visibility, () => db.query(read, parameters))
    : await db.query(read, parameters);
  return rows.map(({ id }) => id);
}
