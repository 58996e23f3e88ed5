import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { Database } from '../../../src/db/postgres/database.js';
import { type Statement } from '../../../src/db/postgres/statement.js';
import { MAX_QUEUE_POSITION } from '../../../src/db/tasks/queue-positions.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

/** Of each of two workspaces, or of all. */
const QUEUED_COUNT = 50_000;
/** Tasks are counted a few times for end users, and a few times for workspaces. */
const MAX_ROWS = 16 * MAX_QUEUE_POSITION;
const [MINE, OTHER] = ['00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002'];

let database: TestDatabase;
let sql: pg.Client;
let db: Database;
beforeEach(async () => {
  database = await createTestDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  db = new Database({ url: database.url, maxConnections: 2, log: pino({ level: 'silent' }) });
}, 60_000);
afterEach(async () => {
  await sql.end();
  await db.close();
  await database.drop();
});

/** Queues tasks in the order of their IDs. `workspace` and `endUser` are SQL with the number n of the task, from 1. */
async function queueTasks(workspace: string, endUser: string): Promise<void> {
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, end_user_id, kind, prompt, model, requested_count, input_hash, deadline_at)
     SELECT ${idOf('n', workspace)}, (${workspace})::uuid, ${endUser}, 'GENERATE', '', 'flux-dev', 1, '', now() + interval '1 hour'
     FROM generate_series(1, ${QUEUED_COUNT}) n`,
  );
}
/** The IDs of MINE start with zeros, and those of all others with ones. */
function idOf(n: string, workspace: string): string {
  return `(CASE WHEN (${workspace})::text = '${MINE}' THEN '00000000' ELSE '11111111' END || '-0000-7000-8000-' || lpad((${n})::text, 12, '0'))::uuid`;
}
const mine = (n: number) => `00000000-0000-7000-8000-${String(n).padStart(12, '0')}`;

/** Finds positions, and the rows of the table and its indexes that this reads. */
async function findPositions(numbers: readonly number[]) {
  const ids = numbers.map(mine);
  let call: { statement?: Statement<object, object>; parameters?: Record<string, unknown> } = {};
  const recorder = {
    query: (statement: Statement<object, object>, parameters: Record<string, unknown>) =>
      Promise.resolve(((call = { statement, parameters }), [])),
  };
  await new TaskRepository(recorder as unknown as Database).queuePositions(MINE ?? '', ids);
  const values = call.statement?.parameterNames.map((name) => call.parameters?.[name]);
  await sql.query('BEGIN');
  await sql.query(call.statement?.text ?? '', values);
  const { rows } = await sql.query<{ read: number }>(
    `SELECT sum(pg_stat_get_xact_tuples_returned(oid))::int AS read FROM pg_class
     WHERE oid = 'tasks'::regclass OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid = 'tasks'::regclass)`,
  );
  await sql.query('COMMIT');
  const positions = await new TaskRepository(db).queuePositions(MINE ?? '', ids);
  return { read: rows[0]?.read, positions: ids.map((id) => positions.get(id)) };
}

const CASES: [what: string, queue: () => Promise<void>, positions: (n: number) => number][] = [
  [
    'in each of two workspaces',
    async () => {
      await queueTasks(`'${MINE}'`, 'NULL');
      await queueTasks(`'${OTHER}'`, 'NULL');
    },
    (n) => 2 * n - 1,
  ],
  [
    'in each of two workspaces, with an end user for each task',
    async () => {
      await queueTasks(`'${MINE}'`, `lpad(n::text, 6, '0')`);
      await queueTasks(`'${OTHER}'`, `n::text`);
    },
    (n) => 2 * n - 1,
  ],
  [
    'of a workspace and as many other workspaces',
    async () => {
      await queueTasks(`'${MINE}'`, 'NULL');
      await queueTasks(`'00000000-0000-7000-9000-' || lpad(n::text, 12, '0')`, 'NULL');
    },
    (n) => (n === 1 ? 1 : MAX_QUEUE_POSITION),
  ],
];
test.each(CASES)(
  'finding positions among 50,000 tasks %s reads only the tasks up to the maximum, with and without statistics',
  async (_what, queue, positionOf) => {
    await queue();
    const numbers = [1, 2, 40, 450, MAX_QUEUE_POSITION, QUEUED_COUNT];
    for (const isAnalyzed of [false, true]) {
      if (isAnalyzed) await sql.query('ANALYZE tasks');
      const { read, positions } = await findPositions(numbers);
      expect(positions).toEqual(numbers.map((n) => Math.min(positionOf(n), MAX_QUEUE_POSITION)));
      expect(read).toBeGreaterThan(0);
      expect(read).toBeLessThan(MAX_ROWS);
    }
  },
  120_000,
);
