import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import pg from 'pg';
import { pino } from 'pino';
import { isVisible, type Visibility } from '../../../src/core/access/visibility.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type EventRangePage, VisibleEvents } from '../../../src/db/events/visible-events.js';
import { Database } from '../../../src/db/postgres/database.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const WORKSPACES = [newId(), newId()];
const END_USERS = ['a', 'b', null];
const TASKS = Array.from({ length: 24 }, (_, index) => ({
  taskId: newId(),
  workspaceId: WORKSPACES[index % 2] ?? '',
  endUserId: END_USERS[index % 3] ?? null,
}));
const EVENT_COUNT = 300;

let database: TestDatabase;
let sql: pg.Pool;
let db: Database;
/** The task of each sealed event, in the order of the log. */
let log: { position: bigint; taskId: string }[];
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Pool({ connectionString: database.url, max: 2 });
  db = new Database({ url: database.url, maxConnections: 2, log: pino({ level: 'silent' }) });
  await sql.query("INSERT INTO workspaces (id, name) SELECT unnest($1::uuid[]), 'w'", [WORKSPACES]);
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, end_user_id, kind, status, prompt, model, requested_count, input_hash, deadline_at)
     SELECT id, workspace_id, end_user_id, 'GENERATE', 'SUCCEEDED', 'p', 'flux-dev', 1, '', now()
     FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS task(id, workspace_id, end_user_id)`,
    [TASKS.map((t) => t.taskId), TASKS.map((t) => t.workspaceId), TASKS.map((t) => t.endUserId)],
  );
  await sql.query(
    `INSERT INTO task_events (workspace_id, task_id, type, actor)
     SELECT task.workspace_id, task.id, 'TASK_SUBMITTED', 'test'
     FROM unnest($1::uuid[]) WITH ORDINALITY AS event(task_id, n) JOIN tasks task ON task.id = event.task_id ORDER BY n`,
    [Array.from({ length: EVENT_COUNT }, (_, n) => taskOfEvent(n))],
  );
  await sql.query('SELECT seal_events($1)', [EVENT_COUNT]);
  const { rows } = await sql.query<{ position: string; taskId: string }>(
    'SELECT position, task_id AS "taskId" FROM task_events ORDER BY position',
  );
  log = rows.map(({ position, taskId }) => ({ position: BigInt(position), taskId }));
});
afterAll(async () => {
  await db.close();
  await sql.end();
  await database.drop();
});

/** A few tasks have most events, so that others have long stretches without one. */
function taskOfEvent(n: number): string {
  const spread = ((n * 7_919) % 997) / 997;
  return TASKS[Math.floor(TASKS.length * spread ** 3)]?.taskId ?? '';
}

const visibilities = fc.record({
  workspaceId: fc.constantFrom(...WORKSPACES),
  endUserId: fc.constantFrom(...END_USERS),
  taskIds: fc.option(fc.subarray(TASKS.map(({ taskId }) => taskId))),
});
const bounds = fc.record({
  // From always in order to always by task.
  tasks: fc.nat(10),
  positionsByTask: fc.bigInt(10n, 400n),
  positionsInOrder: fc.bigInt(10n, 100n),
});
/** Where the log ends when each page is read. The last one repeats until the end of the log. */
const logEnds = fc.array(fc.bigInt(1n, BigInt(EVENT_COUNT)), { minLength: 1, maxLength: 4 });

function positionsOf(visibility: Visibility, from: bigint): bigint[] {
  const tasks = new Map(TASKS.map((task) => [task.taskId, task]));
  return log
    .filter(({ position, taskId }) => {
      const task = tasks.get(taskId);
      return position > from && task && isVisible(visibility, task);
    })
    .map(({ position }) => position);
}

test('pages have each visible event once and in order, whatever part of the log each of them covers', async () => {
  expect(log).toHaveLength(EVENT_COUNT);
  await fc.assert(
    fc.asyncProperty(
      visibilities,
      bounds,
      logEnds,
      fc.integer({ min: 1, max: 40 }),
      fc.bigInt(0n, BigInt(EVENT_COUNT)),
      async (visibility, readBounds, ends, limit, from) => {
        const events = new VisibleEvents(db, readBounds);
        const mostPositions = Math.max(
          Number(readBounds.positionsByTask),
          Number(readBounds.positionsInOrder),
        );
        const found: bigint[] = [];
        let position = from;
        for (let count = 0; position < BigInt(EVENT_COUNT); count += 1) {
          const end = ends[count] ?? BigInt(EVENT_COUNT);
          if (end <= position) continue;
          const page: EventRangePage = await events.readPage(visibility, {
            position,
            limit,
            endPosition: end,
          });
          found.push(...page.events.map((event) => event.position));
          expect(page.events.length).toBeLessThanOrEqual(limit);
          expect(page.endPosition).toBeGreaterThan(position);
          expect(page.endPosition).toBeLessThanOrEqual(end);
          expect(Number(page.endPosition - position)).toBeLessThanOrEqual(mostPositions);
          position = page.endPosition;
        }
        expect(found).toEqual(positionsOf(visibility, from));
      },
    ),
    { numRuns: 40 },
  );
});
