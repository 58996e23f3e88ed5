import type pg from 'pg';
import { EventCursors } from '../../../src/core/events/event-cursor.js';
import { EVENT_TYPES } from '../../../src/core/events/task-event.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Signer } from '../../../src/core/access/signer.js';

/** Any place where a statement can run. */
export type Sql = Pick<pg.Pool, 'query'>;

/** Shared by the instances of a test, so that a cursor of one is good on the other. */
export const SECRET_KEY = 'a secret key that only tests know, for cursors';

/** What a filter can name. What is written here never settles its task. */
export const KINDS = EVENT_TYPES;

export interface WrittenEvent {
  id: string;
  position: number;
  workspaceId: string;
  taskId: string;
  type: string;
}

/** The workspace of the first key. */
export async function firstWorkspace(sql: Sql): Promise<string> {
  const { rows } = await sql.query<{ id: string }>('SELECT id FROM workspaces ORDER BY id LIMIT 1');
  return rows[0]?.id ?? '';
}

/** Tasks that have ended, so that nobody works on them: their events are the test's alone. */
export async function addTasks(sql: Sql, workspaceId: string, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, newId);
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at)
     SELECT id, $2, 'GENERATE', 'SUCCEEDED', 'p', 'flux-dev', 1, '', now() FROM unnest($1::uuid[]) id`,
    [ids, workspaceId],
  );
  return ids;
}

/** Writes an event past the service, as any writer may: it is sealed within half a second. */
export async function writeEvent(sql: Sql, taskId: string, type: string, data: object = {}): Promise<void> {
  await sql.query(
    `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
     SELECT workspace_id, id, $2, 'test', $3 FROM tasks WHERE id = $1`,
    [taskId, type, JSON.stringify(data)],
  );
}

/** Writes `count` events of a task by one statement, numbered from 1, each with so many bytes of filling. */
export async function writeMany(sql: Sql, taskId: string, count: number, bytes = 0): Promise<void> {
  await sql.query(
    `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
     SELECT workspace_id, id, 'TASK_SUBMITTED', 'test', jsonb_build_object('n', n, 'filling', repeat('x', $3))
     FROM tasks, generate_series(1, $2::int) n WHERE id = $1 ORDER BY n`,
    [taskId, count, bytes],
  );
}

/** What the table has, in its order. */
export async function sealedEvents(sql: Sql): Promise<WrittenEvent[]> {
  const { rows } = await sql.query<WrittenEvent>(
    `SELECT id, position::int, workspace_id AS "workspaceId", task_id AS "taskId", type
     FROM task_events WHERE position IS NOT NULL ORDER BY position`,
  );
  return rows;
}

export async function unsealedCount(sql: Sql): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM task_events WHERE position IS NULL',
  );
  return rows[0]?.count ?? 0;
}

/** Makes cursors as the instances with SECRET_KEY do. */
export async function cursorsOf(sql: Sql): Promise<EventCursors> {
  const { rows } = await sql.query<{ id: string }>('SELECT log_id AS id FROM event_log_head');
  return new EventCursors(new Signer(Buffer.from(SECRET_KEY)), rows[0]?.id ?? '');
}
