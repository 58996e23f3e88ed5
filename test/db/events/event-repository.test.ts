import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

let database: TestDatabase;
let pool: pg.Pool;
const workspaceId = newId();
beforeAll(async () => {
  database = await createTestDatabase();
  pool = new pg.Pool({ connectionString: database.url, max: 16 });
  await pool.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
});
afterAll(async () => {
  await pool.end();
  await database.drop();
});

async function addTask(): Promise<string> {
  const id = newId();
  await pool.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at)
     VALUES ($1, $2, 'GENERATE', 'p', 'flux-dev', 1, '', now())`,
    [id, workspaceId],
  );
  return id;
}
/** Writes an event like every writer does: after locking its task's row. */
async function addEvent(
  taskId: string,
  data: object = {},
  on: pg.Pool | pg.PoolClient = pool,
): Promise<void> {
  await on.query(
    `WITH task AS (UPDATE tasks SET attempts = attempts + 1 WHERE id = $1 RETURNING *)
     INSERT INTO task_events (workspace_id, task_id, type, actor, data)
     SELECT workspace_id, id, 'TASK_REQUESTED', 'test', $2::jsonb FROM task`,
    [taskId, JSON.stringify(data)],
  );
}
async function seal(batch = 1_000): Promise<number | null> {
  const { rows } = await pool.query<{ sealed: number | null }>('SELECT seal_events($1) AS sealed', [batch]);
  return rows[0]?.sealed ?? null;
}
async function sealAll(): Promise<void> {
  while ((await seal()) !== 0);
}
async function positions(): Promise<{ taskId: string; position: number | null; data: { n?: number } }[]> {
  const { rows } = await pool.query<{ taskId: string; position: number | null; data: { n?: number } }>(
    'SELECT task_id AS "taskId", position::int, data FROM task_events ORDER BY position',
  );
  return rows;
}

describe('task_events', () => {
  const REFUSED = /task_events is append-only: (UPDATE|DELETE|TRUNCATE) is not allowed/;

  test.each([
    "UPDATE task_events SET type = 'TASK_FAILED'",
    "UPDATE task_events SET actor = 'nobody' WHERE false",
    `UPDATE task_events SET data = '{"forged": true}'`,
    'UPDATE task_events SET at = now()',
    'UPDATE task_events SET settles_task = true',
    'UPDATE task_events SET task_id = gen_random_uuid()',
    'UPDATE task_events SET position = position + 100 WHERE position IS NOT NULL',
    'UPDATE task_events SET position = NULL',
    'DELETE FROM task_events',
    'TRUNCATE task_events',
    'TRUNCATE tasks CASCADE',
  ])('refuses "%s", also from the superuser', async (statement) => {
    const taskId = await addTask();
    await addEvent(taskId);
    await sealAll();
    await addEvent(taskId);
    const before = await positions();
    await expect(pool.query(statement)).rejects.toThrow(REFUSED);
    await expect(positions()).resolves.toEqual(before);
  });

  test('rejects a second position for an event, and a position that is taken', async () => {
    const taskId = await addTask();
    await addEvent(taskId);
    await sealAll();
    await expect(
      pool.query('UPDATE task_events SET position = 1000000 WHERE task_id = $1', [taskId]),
    ).rejects.toThrow(REFUSED);
    await addEvent(taskId);
    await expect(
      pool.query('UPDATE task_events SET position = 1 WHERE task_id = $1 AND position IS NULL', [taskId]),
    ).rejects.toThrow(/duplicate key/);
  });
});

describe('seal_events', () => {
  test('seals at most batch_size events in the order of writing, and returns their number', async () => {
    await sealAll();
    const taskId = await addTask();
    for (let n = 0; n < 5; n += 1) await addEvent(taskId, { n });
    expect([await seal(2), await seal(2), await seal(2), await seal(2)]).toEqual([2, 2, 1, 0]);
    const sealed = (await positions()).filter((event) => event.taskId === taskId);
    expect(sealed.map((event) => event.data.n)).toEqual([0, 1, 2, 3, 4]);
  });

  test('returns NULL at once while another session is sealing', async () => {
    const other = await pool.connect();
    try {
      await other.query('BEGIN; SELECT seal_events(1)');
      await expect(seal()).resolves.toBeNull();
    } finally {
      await other.query('ROLLBACK');
      other.release();
    }
    await expect(seal()).resolves.not.toBeNull();
  });

  test('notifies listeners of the new head once per sealing, and not when nothing was sealed', async () => {
    await sealAll();
    const listener = await pool.connect();
    const heads: (string | undefined)[] = [];
    listener.on('notification', ({ payload }) => heads.push(payload));
    await listener.query('LISTEN darkroom_events');
    const taskId = await addTask();
    await addEvent(taskId);
    await addEvent(taskId);
    await seal();
    await seal();
    await listener.query('SELECT 1');
    const { rows } = await pool.query<{ position: string }>('SELECT position FROM event_log_head');
    expect(heads).toEqual([rows[0]?.position]);
    await listener.query('UNLISTEN *');
    listener.removeAllListeners('notification');
    listener.release();
  });

  test('does not wait for an uncommitted event, and seals it once it is committed', async () => {
    const slowTask = await addTask();
    const quickTask = await addTask();
    const slow = await pool.connect();
    await slow.query('BEGIN');
    await addEvent(slowTask, {}, slow);
    await addEvent(quickTask);
    await sealAll();
    const at = async (id: string) => (await positions()).find((event) => event.taskId === id)?.position;
    const quickAt = await at(quickTask);
    expect(quickAt).toEqual(expect.any(Number));
    expect(await at(slowTask)).toBeUndefined();
    await slow.query('COMMIT');
    slow.release();
    await sealAll();
    expect(await at(slowTask)).toBe((quickAt ?? 0) + 1);
  });

  test('gives each event one position, without gaps and in the order of each task, with 8 writers and 3 sealers', async () => {
    const tasks = await Promise.all(Array.from({ length: 20 }, addTask));
    const counters = new Map(tasks.map((id) => [id, 0]));
    let writing = true;
    const write = async (writer: number) => {
      for (let turn = 0; turn < 60; turn += 1) {
        const taskId = tasks[(writer * 7 + turn) % tasks.length] ?? '';
        const client = await pool.connect();
        await client.query('BEGIN');
        await client.query('SELECT FROM tasks WHERE id = $1 FOR UPDATE', [taskId]);
        const n = (counters.get(taskId) ?? 0) + 1;
        counters.set(taskId, n);
        await addEvent(taskId, { n }, client);
        await client.query('COMMIT');
        client.release();
      }
    };
    const sealUntilQuiet = async () => {
      while (writing) await seal(7);
    };
    const sealers = [sealUntilQuiet(), sealUntilQuiet(), sealUntilQuiet()];
    await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
    writing = false;
    await Promise.all(sealers);
    await sealAll();

    const all = await positions();
    expect(all.map((event) => event.position)).toEqual(all.map((_event, index) => index + 1));
    for (const taskId of tasks) {
      const numbers = all.filter((event) => event.taskId === taskId).map((event) => event.data.n);
      expect(numbers).toEqual(numbers.map((_n, index) => index + 1));
      expect(numbers).toHaveLength(24);
    }
  });
});
