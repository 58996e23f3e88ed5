import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { EventCursors } from '../../src/core/events/event-cursor.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Signer } from '../../src/core/access/signer.js';
import { wholeWorkspace } from '../../src/core/access/visibility.js';
import { Database } from '../../src/db/postgres/database.js';
import { Events } from '../../src/db/events/event-repository.js';
import { Feed } from '../../src/event-log/broadcaster.js';
import { EventLog } from '../../src/event-log/event-log.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

const log = pino({ level: 'silent' });
let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url });
  db = new Database({ url: database.url, maxConnections: 4, log });
});
afterAll(async () => {
  await db.close();
  await sql.end();
  await database.drop();
});

/** A settled task with three events, of which these settle it; a watch of it from its beginning, and what that saw. */
async function watchSettled(settling: number[]): Promise<string[]> {
  const [workspaceId, taskId] = [newId(), newId()];
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at)
     VALUES ($1, $2, 'GENERATE', 'p', 'flux-dev', 1, '', now())`,
    [taskId, workspaceId],
  );
  await sql.query(
    `INSERT INTO task_events (workspace_id, task_id, type, actor, data, settles)
     SELECT $1, $2, 'TASK_REQUESTED', 'test', jsonb_build_object('n', n), n = ANY($3) FROM generate_series(1, 3) n`,
    [workspaceId, taskId, settling],
  );
  await sql.query('SELECT seal_events(10)');

  const events = new Events(db);
  // Its head is still where it was before these events: the notification is on its way.
  const eventLog = new EventLog(events, database.url, log);
  const cursors = new EventCursors(new Signer(Buffer.alloc(32)), newId());
  const options = { cursors, buffering: { maxEvents: 1_000, maxBytes: 1e6 }, stallMs: 1_000 };
  const feed = new Feed(eventLog, events, options, log);
  const seen: string[] = [];
  const outlet = {
    backlogBytes: 0,
    send: (text: string) => void seen.push(text),
    together: (work: () => void) => work(),
    complete: () => void seen.push('complete'),
    close: () => undefined,
  };
  const render = ({ data }: TaskEvent) => Promise.resolve(String((data as unknown as { n: number }).n));
  const topic = {
    key: taskId,
    scope: { ...wholeWorkspace(workspaceId), taskId },
    matches: () => true,
    render,
  };
  const overAt = await events.head();
  feed.watch(topic, { position: overAt - 3n, first: null, overAt }, outlet);
  await eventLog.start();
  await waitFor('the end', () => seen.includes('complete')).finally(() => eventLog.stop());
  return seen;
}

test('a watch of a settled task waits for the events that this instance has not read yet', async () => {
  await expect(watchSettled([3])).resolves.toEqual(['1', '2', '3', 'complete']);
});

test('a watch of a settled task shows what came after it was settled, such as a late result', async () => {
  await expect(watchSettled([2])).resolves.toEqual(['1', '2', '3', 'complete']);
});
