import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { SeededRandom } from '../../../src/sandbox/painting/seeded-random.js';
import {
  addFinishedTasks,
  countUnsealedEvents,
  insertEvent,
  insertEvents,
  readSealedEvents,
} from '../../support/events/event-rows.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

/** Some pages for each index, and one for each event that was sealed since the progress was last written. */
const MAX_SEAL_PAGES = 400;
const MAX_HEAD_PAGES = 8;
const BATCH_SIZE = 1_000;
const TASK_COUNT = 12;

let database: TestDatabase;
let sql: pg.Pool;
let tasks: string[];
beforeEach(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 16 });
  const workspaceId = newId();
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  tasks = await addFinishedTasks(sql, workspaceId, TASK_COUNT);
});
afterEach(async () => {
  await sql.end();
  await database.drop();
});

const taskAt = (index: number) => tasks[index] ?? '';
async function seal(batchSize = BATCH_SIZE): Promise<number | null> {
  const { rows } = await sql.query<{ sealed: number | null }>('SELECT seal_events($1) AS sealed', [
    batchSize,
  ]);
  return rows[0]?.sealed ?? null;
}
async function writeAndSeal(total: number, perBatch: number): Promise<void> {
  for (let count = 0; count < total; count += perBatch) {
    await insertEvents(sql, taskAt(0), perBatch);
    await seal();
  }
}
async function pagesOf(statement: string): Promise<number> {
  const { rows } = await sql.query<{ 'QUERY PLAN': [{ Plan: Record<string, number> }] }>(
    `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement}`,
  );
  const plan = rows[0]?.['QUERY PLAN'][0].Plan ?? {};
  return (plan['Shared Hit Blocks'] ?? NaN) + (plan['Shared Read Blocks'] ?? NaN);
}
async function openSnapshot(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => undefined); // the database is dropped with it after a failed test
  await client.connect();
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM tasks');
  return client;
}
async function expectCompleteLog(count: number): Promise<void> {
  expect(await countUnsealedEvents(sql)).toBe(0);
  const positions = (await readSealedEvents(sql)).map(({ position }) => position);
  expect(positions).toEqual(Array.from({ length: count }, (_, index) => index + 1));
}

describe('while a snapshot is open, as during a dump', () => {
  test.each([
    ['only read', ''],
    ['written something', 'UPDATE workspaces SET name = name'],
  ])('by a transaction that has %s, sealing does not read what was sealed before', async (_what, write) => {
    const snapshot = await openSnapshot();
    if (write) await snapshot.query(write);
    await writeAndSeal(30_000, 500);
    await sql.query('ANALYZE task_events');
    await insertEvents(sql, taskAt(0), 1);
    expect(await pagesOf('SELECT seal_events(1000)')).toBeLessThan(MAX_SEAL_PAGES);
    expect(await pagesOf('SELECT seal_events(1000)')).toBeLessThan(MAX_SEAL_PAGES);
    await snapshot.end();
    await expectCompleteLog(30_001);
  });

  test('reading the last position does not read those before it', async () => {
    const snapshot = await openSnapshot();
    await writeAndSeal(2_000, 1);
    expect(await pagesOf('SELECT position FROM event_log_head')).toBeLessThan(MAX_HEAD_PAGES);
    await snapshot.end();
  });
});

describe('an event is sealed once', () => {
  test.each([
    ['a transaction', ''],
    ['a transaction with savepoints', 'SAVEPOINT one; SAVEPOINT two;'],
  ])('when %s commits long after later events were sealed', async (_what, savepoints) => {
    const slow = await sql.connect();
    await slow.query(`BEGIN; ${savepoints}`);
    await insertEvent(slow, taskAt(1), 'TASK_FAILED');
    await writeAndSeal(3_000, 500);
    expect(await seal()).toBe(0);
    await slow.query('COMMIT');
    slow.release();
    expect(await seal()).toBe(1);
    const sealed = await readSealedEvents(sql);
    expect(sealed.at(-1)).toMatchObject({ position: 3_001, taskId: taskAt(1), type: 'TASK_FAILED' });
  });

  test('when its transaction began before sealing, and wrote it afterwards', async () => {
    const slow = await sql.connect();
    await slow.query("BEGIN; UPDATE workspaces SET name = 'x'");
    await writeAndSeal(1_000, 500);
    await insertEvent(slow, taskAt(1), 'TASK_FAILED');
    await writeAndSeal(1_000, 500);
    await slow.query('COMMIT');
    slow.release();
    await seal();
    await expectCompleteLog(2_001);
  });

  test('when the transaction that seals writes it afterwards', async () => {
    const client = await sql.connect();
    await client.query('BEGIN');
    await insertEvents(client, taskAt(0), 500);
    await client.query('SELECT seal_events(1000)');
    await insertEvent(client, taskAt(0), 'TASK_FAILED');
    await client.query('COMMIT');
    client.release();
    expect(await seal()).toBe(1);
    await expectCompleteLog(501);
  });

  test('when a sealing before it was rolled back', async () => {
    await insertEvents(sql, taskAt(0), 500);
    const client = await sql.connect();
    await client.query('BEGIN; SELECT seal_events(1000); ROLLBACK');
    client.release();
    expect(await seal()).toBe(500);
    await expectCompleteLog(500);
  });

  test('when full batches leave events for later ones', async () => {
    await insertEvents(sql, taskAt(0), 1_500);
    await insertEvents(sql, taskAt(1), 1_500);
    for (let sealed: number | null = 400; sealed === 400;) sealed = await seal(400);
    await expectCompleteLog(3_000);
  });

  // A dump that was restored on a server whose transactions have lower numbers, and a replica that got its rows logically.
  test('when the numbers of transactions are those of another server', async () => {
    await writeAndSeal(1_000, 500);
    await sql.query(
      `UPDATE sealing_progress SET next_transaction_id = 1000000000000, server_started_at = server_started_at - interval '1 s'`,
    );
    await insertEvents(sql, taskAt(0), 1);
    expect(await seal()).toBe(1);
    const snapshot = await openSnapshot();
    await writeAndSeal(30_000, 500);
    await sql.query('ANALYZE task_events');
    expect(await pagesOf('SELECT seal_events(1000)')).toBeLessThan(MAX_SEAL_PAGES);
    await snapshot.end();
    await expectCompleteLog(31_001);
  });

  test('with eight writers that keep transactions open, and three sealers', async () => {
    const random = new SeededRandom(process.env.SEALING_SEED ?? 'sealing');
    let count = 0;
    const write = async (writer: number) => {
      for (let turn = 0; turn < 12; turn += 1) {
        const taskId = taskAt((writer + turn) % TASK_COUNT);
        const client = await sql.connect();
        await client.query('BEGIN');
        await client.query('SELECT FROM tasks WHERE id = $1 FOR UPDATE', [taskId]);
        // Each part is a statement of its own, so that others are sealed between them.
        let written = 0;
        for (let part = random.between(1, 5); part > 0; part -= 1) {
          const events = Math.ceil(random.between(0, 60));
          await insertEvents(client, taskId, events);
          written += events;
        }
        const isKept = random.between(0, 4) > 0;
        await client.query(isKept ? 'COMMIT' : 'ROLLBACK');
        if (isKept) count += written;
        client.release();
      }
    };
    let writing = true;
    const sealUntilQuiet = async () => {
      while (writing) await seal(200);
    };
    const sealers = [sealUntilQuiet(), sealUntilQuiet(), sealUntilQuiet()];
    await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer))).finally(() => {
      writing = false;
      return Promise.all(sealers);
    });
    for (let sealed: number | null = 200; sealed === 200;) sealed = await seal(200);
    await expectCompleteLog(count);
    // Of one task, in the order of writing.
    const { rows } = await sql.query(
      `SELECT FROM (SELECT seq, lag(seq) OVER (PARTITION BY task_id ORDER BY position) AS earlier FROM task_events) e
       WHERE earlier > seq`,
    );
    expect(rows).toEqual([]);
    const { rows: progress } = await sql.query<{ position: string }>('SELECT position FROM sealing_progress');
    expect(progress).toHaveLength(1);
    expect(Number(progress[0]?.position)).toBeGreaterThan(count / 2);
  });
});
