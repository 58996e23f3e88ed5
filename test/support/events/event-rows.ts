import type pg from 'pg';
import { EventCursorCodec } from '../../../src/core/events/event-cursor.js';
import { EVENT_TYPES } from '../../../src/core/events/task-event.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Signer } from '../../../src/core/access/signer.js';

/** A pool or a client. */
export type QueryRunner = Pick<pg.Pool, 'query'>;

/** Shared by the instances of a test, so that every instance accepts a cursor of another one. */
export const SECRET_KEY = 'a secret key that only tests know, for cursors';

/** Event types that a filter can name. Events written by this file never settle their task. */
export const FILTERABLE_TYPES = EVENT_TYPES;

export interface SealedEvent {
  id: string;
  position: number;
  workspaceId: string;
  taskId: string;
  type: string;
}

/** The ID of the workspace that the first API key belongs to. */
export async function firstWorkspaceId(sql: QueryRunner): Promise<string> {
  const { rows } = await sql.query<{ id: string }>('SELECT id FROM workspaces ORDER BY id LIMIT 1');
  return rows[0]?.id ?? '';
}

/** Inserts tasks in a final state. The service never touches them, so the test writes all of their events. */
export async function addFinishedTasks(
  sql: QueryRunner,
  workspaceId: string,
  count: number,
): Promise<string[]> {
  const ids = Array.from({ length: count }, newId);
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at)
     SELECT id, $2, 'GENERATE', 'SUCCEEDED', 'p', 'flux-dev', 1, '', now() FROM unnest($1::uuid[]) id`,
    [ids, workspaceId],
  );
  return ids;
}

/** Inserts an event directly into the database. The service seals it within half a second. */
export async function insertEvent(
  sql: QueryRunner,
  taskId: string,
  type: string,
  data: object = {},
): Promise<void> {
  await sql.query(
    `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
     SELECT workspace_id, id, $2, 'test', $3 FROM tasks WHERE id = $1`,
    [taskId, type, JSON.stringify(data)],
  );
}

/** Inserts `count` events of a task with one statement. Their data is a number from 1 and `fillerBytes` bytes. */
export async function insertEvents(
  sql: QueryRunner,
  taskId: string,
  count: number,
  fillerBytes = 0,
): Promise<void> {
  await sql.query(
    `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
     SELECT workspace_id, id, 'TASK_SUBMITTED', 'test', jsonb_build_object('n', n, 'filling', repeat('x', $3))
     FROM tasks, generate_series(1, $2::int) n WHERE id = $1 ORDER BY n`,
    [taskId, count, fillerBytes],
  );
}

/** All sealed events in log order. */
export async function readSealedEvents(sql: QueryRunner): Promise<SealedEvent[]> {
  const { rows } = await sql.query<SealedEvent>(
    `SELECT id, position::int, workspace_id AS "workspaceId", task_id AS "taskId", type
     FROM task_events WHERE position IS NOT NULL ORDER BY position`,
  );
  return rows;
}

export async function countUnsealedEvents(sql: QueryRunner): Promise<number> {
  const { rows } = await sql.query<{ count: number }>(
    'SELECT count(*)::int AS count FROM task_events WHERE position IS NULL',
  );
  return rows[0]?.count ?? 0;
}

/** Encodes cursors as an instance with SECRET_KEY does. */
export async function createEventCursors(sql: QueryRunner): Promise<EventCursorCodec> {
  const { rows } = await sql.query<{ id: string }>('SELECT log_id AS id FROM event_log');
  return new EventCursorCodec(new Signer(Buffer.from(SECRET_KEY)), rows[0]?.id ?? '');
}
