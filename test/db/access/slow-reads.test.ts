import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { workspaceVisibility } from '../../../src/core/access/visibility.js';
import { RateLimited } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { ApiKeyRepository } from '../../../src/db/access/api-key-repository.js';
import { AuditRepository } from '../../../src/db/access/audit-repository.js';
import { BudgetRepository } from '../../../src/db/billing/budget-repository.js';
import { CallbackRepository } from '../../../src/db/callbacks/callback-repository.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { ImageRepository } from '../../../src/db/images/image-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { InstanceRepository } from '../../../src/db/instances/instance-repository.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { WebhookRepository } from '../../../src/db/webhooks/webhook-repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const MAX_CONNECTIONS = 20;
/** Six slots for slow reads, three of them for one workspace, and two of these for one end user, or for no particular one. */
const SLOTS_PER_READER = 2;

let database: TestDatabase;
let db: Database;
/** Holds a table, so that reads wait for it as for a slow scan. */
let holder: pg.Client;
let observer: pg.Client;
beforeAll(async () => {
  database = await createTestDatabase();
  holder = new pg.Client({ connectionString: database.url });
  observer = new pg.Client({ connectionString: database.url });
  await Promise.all([holder.connect(), observer.connect()]);
});
beforeEach(async () => {
  const log = pino({ level: 'silent' });
  db = new Database({ url: database.url, maxConnections: MAX_CONNECTIONS, log });
  await db.hasRowSecurity();
});
afterEach(async () => {
  await holder.query('ROLLBACK');
  await db.close();
});
afterAll(async () => {
  await Promise.all([holder.end(), observer.end()]);
  await database.drop();
});

const page = { before: null, limit: 2 };
const hold = (table: string) => holder.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
const countHanging = async () => {
  const sql = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
  return (await observer.query(sql)).rowCount ?? 0;
};
/** Errors of reads, except that one waited longer for a slot than it may, as it does on a slow machine. */
const unexpectedErrors = (results: PromiseSettledResult<unknown>[]) =>
  results.filter((result) => result.status === 'rejected' && !(result.reason instanceof RateLimited));
const pageOfAuditLog = (workspaceId: string) =>
  new AuditRepository(db).page(
    { workspaceId, endUserId: null, unowned: false },
    { actions: ['IMAGE_DELETED'] },
    page,
  );

/** Reads of a workspace that can take long, with a table that each of them reads. */
const SLOW_READS: [string, string, (workspaceId: string) => Promise<unknown>][] = [
  [
    'callbacks with a verdict',
    'callbacks',
    (workspaceId) =>
      new CallbackRepository(db).page(workspaceVisibility(workspaceId), { verdicts: ['CONFLICT'] }, page),
  ],
  [
    'callbacks of an end user',
    'callbacks',
    (workspaceId) => new CallbackRepository(db).page(ofEndUser(workspaceId), {}, page),
  ],
  ['the audit log with an action', 'audit_log', pageOfAuditLog],
  [
    'the audit log with a key',
    'audit_log',
    (workspaceId) =>
      new AuditRepository(db).page(
        { workspaceId, endUserId: null, unowned: false },
        { keyId: newId() },
        page,
      ),
  ],
  [
    'the audit log of an end user',
    'audit_log',
    (workspaceId) =>
      new AuditRepository(db).page({ workspaceId, endUserId: 'user', unowned: false }, {}, page),
  ],
  [
    'the audit log with entries of no workspace',
    'audit_log',
    (workspaceId) => new AuditRepository(db).page({ workspaceId, endUserId: null, unowned: true }, {}, page),
  ],
  [
    'events of an end user',
    'task_events',
    (workspaceId) =>
      new EventRepository(db).readVisibleAfter(ofEndUser(workspaceId), { position: 0n, limit: 2 }),
  ],
  [
    'events of some types',
    'task_events',
    (workspaceId) =>
      new EventRepository(db).readVisibleAfter(workspaceVisibility(workspaceId), {
        ...{ position: 0n, limit: 2 },
        types: ['TASK_CANCELED'],
      }),
  ],
  [
    'events of some tasks',
    'task_events',
    (workspaceId) =>
      new EventRepository(db).readVisibleAfter(workspaceVisibility(workspaceId), {
        ...{ position: 0n, limit: 2 },
        taskIds: [newId()],
      }),
  ],
  [
    'tasks of an end user with a status',
    'tasks',
    (workspaceId) => new TaskRepository(db).page(ofEndUser(workspaceId), { statuses: ['FAILED'] }, page),
  ],
  [
    'budgets',
    'budgets',
    (workspaceId) =>
      new BudgetRepository(db).page({ workspaceId, endUserId: null }, null, { after: null, limit: 2 }),
  ],
];

function ofEndUser(workspaceId: string) {
  return { ...workspaceVisibility(workspaceId), endUserId: 'user' };
}

test.each(SLOW_READS)(
  'reads of %s leave connections for other work and other workspaces',
  async (_, table, read) => {
    const [ours, theirs] = [newId(), newId()];
    await hold(table);
    const theirReads = Promise.allSettled(Array.from({ length: 40 }, () => read(theirs)));
    await waitFor('their reads', async () => (await countHanging()) === SLOTS_PER_READER);
    const ourRead = read(ours);
    await waitFor('our read', async () => (await countHanging()) === SLOTS_PER_READER + 1);
    await new InstanceRepository(db).heartbeat('instance');
    expect(db.pool.waitingCount).toBe(0);
    await holder.query('ROLLBACK');
    await expect(ourRead).resolves.toEqual([]);
    expect(unexpectedErrors(await theirReads)).toEqual([]);
  },
);

test('the slow reads of an end user leave a slot for the rest of its workspace', async () => {
  const workspaceId = newId();
  const callbacks = new CallbackRepository(db);
  await hold('callbacks');
  const reads = Promise.allSettled(
    Array.from({ length: 20 }, () => callbacks.page(ofEndUser(workspaceId), {}, page)),
  );
  await waitFor('the reads of the end user', async () => (await countHanging()) === SLOTS_PER_READER);
  const other = callbacks.page(workspaceVisibility(workspaceId), { verdicts: ['CONFLICT'] }, page);
  await waitFor('the other read', async () => (await countHanging()) === SLOTS_PER_READER + 1);
  await holder.query('ROLLBACK');
  await expect(other).resolves.toEqual([]);
  expect(unexpectedErrors(await reads)).toEqual([]);
});

test('lookups do not wait for the slow reads of their workspace', async () => {
  const workspaceId = newId();
  const visibility = workspaceVisibility(workspaceId);
  await hold('audit_log');
  const slowReads = Promise.allSettled(Array.from({ length: 10 }, () => pageOfAuditLog(workspaceId)));
  await waitFor('the slow reads', async () => (await countHanging()) === SLOTS_PER_READER);
  const [apiKeys, callbacks] = [new ApiKeyRepository(db), new CallbackRepository(db)];
  const [events, images, tasks] = [new EventRepository(db), new ImageRepository(db), new TaskRepository(db)];
  const webhooks = new WebhookRepository(db);
  const key = { workspaceId, taskId: newId() };
  const found = await Promise.all([
    apiKeys.find(workspaceId, newId()),
    apiKeys.page(workspaceId, null, 2),
    new BudgetRepository(db).findCurrent({ workspaceId, scope: 'WORKSPACE', scopeId: workspaceId }),
    callbacks.find(visibility, newId()),
    callbacks.page(visibility, {}, page),
    events.readTaskAfter(key, 0n, 2),
    events.readVisibleAfter(visibility, { position: 0n, limit: 2 }),
    images.findByTasks(workspaceId, [newId()]),
    images.findMany(visibility, [newId()]),
    images.pageOfEdits(visibility, { parentId: newId(), after: null, limit: 2 }),
    images.pageOfEdits(ofEndUser(workspaceId), { parentId: newId(), after: null, limit: 2 }),
    tasks.findByIdempotencyKey({
      ...{ workspaceId, endUserId: null, idempotencyKey: 'key', inputHash: Buffer.alloc(32) },
    }),
    tasks.findMany(visibility, [newId()]),
    tasks.page(visibility, { statuses: ['FAILED'] }, page),
    webhooks.pageOfAttempts({ ...key, id: newId() }, null, 2),
    webhooks.pageOfDeliveries(key, null, 2),
  ]);
  expect(found.flat().filter((row) => row !== null)).toEqual([]);
  expect(await countHanging()).toBe(SLOTS_PER_READER);
  await holder.query('ROLLBACK');
  expect(unexpectedErrors(await slowReads)).toEqual([]);
});
