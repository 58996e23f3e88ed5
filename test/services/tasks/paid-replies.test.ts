import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { EventLog } from '../../../src/event-log/event-log.js';
import { PaidReplies } from '../../../src/services/tasks/paid-replies.js';
import { Results } from '../../../src/services/tasks/results.js';
import { Spool } from '../../../src/storage/spool.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const reply = { kind: 'accepted', upstreamTaskId: 'upstream-1', upstreamTraceId: 'trace-1' } as const;
const taskId = newId();

let database: TestDatabase;
let proxy: TcpProxy;
let url: string;
let sql: pg.Client;
let directory: string;
const databases: Database[] = [];
beforeEach(async () => {
  database = await createTestDatabase();
  ({ proxy, url } = await TcpProxy.inFrontOf(database.url));
  directory = await mkdtemp(join(tmpdir(), 'darkroom-spool-'));
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at, status, attempts)
     VALUES ($1, gen_random_uuid(), 'GENERATE', 'a prompt', 'flux-dev', 1, '', now() + interval '1 hour', 'SUBMITTING', 1)`,
    [taskId],
  );
});
afterEach(async () => {
  await Promise.all(databases.splice(0).map((db) => db.close()));
  await proxy.cut();
  await sql.end();
  await database.drop();
  await rm(directory, { recursive: true });
});

/** The replies of one process. */
function startProcess({ errors = [] as string[] } = {}): PaidReplies {
  const log = pino({ level: 'error' }, { write: (line: string) => errors.push(line) });
  const db = new Database({ url, maxConnections: 2, log });
  databases.push(db);
  const tasks = new TaskRepository(db);
  const eventLog = new EventLog(new EventRepository(db), url, log);
  return new PaidReplies({
    log,
    results: new Results({ tasks, eventLog, log }),
    spool: new Spool(directory),
  });
}
const task = { id: taskId, attempts: 1 } as Parameters<PaidReplies['apply']>[0];
const readTask = async () =>
  (await sql.query('SELECT status, upstream_task_id AS "upstreamTaskId" FROM tasks')).rows[0] as object;
const isSpooled = async () => (await readdir(directory)).some((name) => name.endsWith('.json'));

describe('a reply that the upstream bills', () => {
  test('is applied at once, without a file, while PostgreSQL responds', async () => {
    await startProcess().apply(task, reply);
    expect(await readTask()).toEqual({ status: 'RUNNING', upstreamTaskId: 'upstream-1' });
    expect(await readdir(directory)).toEqual([]);
  });

  test('waits on the disk during an outage, and is applied when it ends', async () => {
    await proxy.cut();
    const applied = startProcess().apply(task, reply);
    await waitFor('the file', isSpooled);
    await proxy.restore();
    await applied;
    expect(await readTask()).toEqual({ status: 'RUNNING', upstreamTaskId: 'upstream-1' });
    expect(await readdir(directory)).toEqual([]);
  });

  test('is applied by the next process when this one ends during the outage', async () => {
    await proxy.cut();
    const lost = startProcess().apply(task, reply);
    await waitFor('the file', isSpooled);
    // What a kill leaves behind: the file, and a task that another instance has found without an owner.
    await sql.query(`UPDATE tasks SET status = 'UNCONFIRMED'`);
    await proxy.restore();
    await startProcess().applySpooled();
    expect(await readTask()).toMatchObject({ upstreamTaskId: 'upstream-1' });
    expect(await isSpooled()).toBe(false);
    await lost;
  });

  test('is applied when the outage ends, even if the disk takes no file', async () => {
    await rm(directory, { recursive: true });
    await writeFile(directory, 'a file where the folder should be');
    await proxy.cut();
    const errors: string[] = [];
    const applied = startProcess({ errors }).apply(task, reply);
    await waitFor('the failed write', () => errors.join().includes('could not be written to the spool'));
    await proxy.restore();
    await applied;
    expect(await readTask()).toEqual({ status: 'RUNNING', upstreamTaskId: 'upstream-1' });
  });

  test('that cannot be read from the disk is kept and logged, and the others are applied', async () => {
    await new Spool(directory).write(`${taskId}-1`, { task: { id: taskId, attempts: 1 }, result: reply });
    await writeFile(join(directory, '0-broken.json'), '{"task":');
    const errors: string[] = [];
    await startProcess({ errors }).applySpooled();
    expect(await readTask()).toEqual({ status: 'RUNNING', upstreamTaskId: 'upstream-1' });
    expect(await readdir(directory)).toEqual(['0-broken.json']);
    expect(errors.join()).toContain('0-broken');
  });
});
