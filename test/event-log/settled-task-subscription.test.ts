import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { EventCursorCodec } from '../../src/core/events/event-cursor.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Signer } from '../../src/core/access/signer.js';
import { workspaceVisibility } from '../../src/core/access/visibility.js';
import { Database } from '../../src/db/postgres/database.js';
import { EventRepository } from '../../src/db/events/event-repository.js';
import { Broadcaster } from '../../src/event-log/broadcaster.js';
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

/** Subscribes to a task with three events, of which those with `settlingNumbers` settle it. Returns what was sent. */
async function subscribeToSettledTask(settlingNumbers: number[]): Promise<string[]> {
  const [workspaceId, taskId] = [newId(), newId()];
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at)
     VALUES ($1, $2, 'GENERATE', 'p', 'flux-dev', 1, '', now())`,
    [taskId, workspaceId],
  );
  await sql.query(
    `INSERT INTO task_events (workspace_id, task_id, type, actor, data, settles_task)
     SELECT $1, $2, 'TASK_REQUESTED', 'test', jsonb_build_object('n', n), n = ANY($3) FROM generate_series(1, 3) n`,
    [workspaceId, taskId, settlingNumbers],
  );
  await sql.query('SELECT seal_events(10)');

  const events = new EventRepository(db);
  // The instance has not received the notification yet, so its head is still before these events.
  const eventLog = new EventLog(events, database.url, log);
  const cursors = new EventCursorCodec(new Signer(Buffer.alloc(32)), newId());
  const options = { cursors, bufferLimits: { maxEvents: 1_000, maxBytes: 1e6 }, stallMs: 1_000 };
  const broadcaster = new Broadcaster({ eventLog, events, ...options, log });
  const seen: string[] = [];
  const sink = {
    bufferedBytes: 0,
    acceptedBytes: 0,
    send: (text: string) => void seen.push(text),
    batch: (work: () => void) => work(),
    complete: () => void seen.push('complete'),
    close: () => undefined,
  };
  const render = ({ data }: TaskEvent) => Promise.resolve(String((data as unknown as { n: number }).n));
  const topic = {
    key: taskId,
    scope: { ...workspaceVisibility(workspaceId), taskId },
    matches: () => true,
    render,
    renderingCost: 1,
  };
  const settledPosition = await events.headPosition();
  broadcaster.subscribe(topic, { position: settledPosition - 3n, initialEvent: null, settledPosition }, sink);
  await eventLog.start();
  await waitFor('the end', () => seen.includes('complete')).finally(() => eventLog.stop());
  return seen;
}

test('a subscription to a settled task waits for events that this instance has not read yet', async () => {
  await expect(subscribeToSettledTask([3])).resolves.toEqual(['1', '2', '3', 'complete']);
});

test('a subscription to a settled task includes events after it was settled, such as a late result', async () => {
  await expect(subscribeToSettledTask([2])).resolves.toEqual(['1', '2', '3', 'complete']);
});
