import { minIdAt } from '../../core/primitives/ids.js';
import { type TaskKind, type TaskStatus } from '../../core/tasks/task.js';
import { type Visibility } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { assembledStatement } from '../postgres/statement.js';

/** Selects the tasks of a page. Absent or empty fields select all tasks. */
export interface TaskFilter {
  statuses?: readonly TaskStatus[] | null;
  kinds?: readonly TaskKind[] | null;
  models?: readonly string[] | null;
  createdAfter?: Date | null;
  createdBefore?: Date | null;
  /** Words that the prompt must contain. None may have more than 2,000 bytes. */
  search?: string | null;
}

/**
 * A text search with fewer matches sorts them (1 ms). With more matches, an index scan by ID finds a page of them soon. In
 * 100,000 tasks, scanning alone takes 250 ms for a rare word, and sorting alone 26 ms for a word in every eighth prompt.
 */
const MAX_SORTED_MATCHES = 1_000;

/** A page of the visible tasks, newest first, below the task `before`. */
interface PageRequest {
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
 * these comparisons could leak hidden rows. The tasks themselves are read with row-level security.
 */
export async function findPageOfTaskIds(db: Database, request: PageRequest): Promise<string[]> {
  const { visibility, filter, before, limit } = request;
  const { workspaceId, endUserId, taskIds } = visibility;
  const { kinds, createdAfter, createdBefore, search } = filter;
  const statuses = [...new Set(filter.statuses)];
  const models = [...new Set(filter.models)];
  const conditions = ['task.workspace_id = :workspaceId'];
  if (endUserId !== null) conditions.push('task.end_user_id = :endUserId');
  if (taskIds !== null) conditions.push('task.id = ANY(:taskIds::uuid[])');
  if (before) conditions.push('task.id < :before::uuid');
  if (createdAfter) conditions.push('task.id >= :fromId::uuid');
  if (createdBefore) conditions.push('task.id < :toId::uuid');
  if (kinds?.length) conditions.push('task.kind = ANY(:kinds::task_kind[])');

  let fromPrefix = '';
  if (statuses.length > 0) {
    fromPrefix = 'unnest(:statuses::task_status[]) AS filter(value) CROSS JOIN ';
    if (models.length > 0) conditions.push('task.model = ANY(:models::text[])');
    conditions.push('task.status = filter.value');
  } else if (models.length > 0) {
    fromPrefix = 'unnest(:models::text[]) AS filter(value) CROSS JOIN ';
    conditions.push('task.model = filter.value');
  }
  const indexScanSql = (where: string[]) => `
    SELECT task.id FROM ${fromPrefix} LATERAL (
      SELECT task.id FROM tasks task WHERE ${where.join(' AND ')} ORDER BY task.id DESC LIMIT :limit
    ) task ORDER BY task.id DESC LIMIT :limit`;

  let sql = indexScanSql(conditions);
  if (search?.trim()) {
    const found = [
      ...conditions,
      'prompt_words(task.workspace_id, task.prompt) @@ prompt_query(:workspaceId::uuid, :search::text)',
    ];
    sql = `
    WITH found AS MATERIALIZED (
      SELECT task.id FROM ${fromPrefix} tasks task WHERE ${found.join(' AND ')} LIMIT ${MAX_SORTED_MATCHES}
    ), few AS MATERIALIZED (SELECT count(*) < ${MAX_SORTED_MATCHES} AS yes FROM found)
    (SELECT id FROM found WHERE (SELECT yes FROM few) ORDER BY id DESC LIMIT :limit)
    UNION ALL (${indexScanSql([...found, 'NOT (SELECT yes FROM few)'])})`;
  }
  const rows = await db.query(assembledStatement<object, { id: string }>('page-of-task-ids', sql), {
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
    search,
  });
  return rows.map(({ id }) => id);
}
