import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import pino from 'pino';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Reach, wholeWorkspace } from '../../../src/core/access/visibility.js';
import { ApiKeys } from '../../../src/db/access/api-key-repository.js';
import { AuditLog } from '../../../src/db/access/audit-repository.js';
import { Budgets } from '../../../src/db/billing/budget-repository.js';
import { Callbacks } from '../../../src/db/callbacks/callback-repository.js';
import { Database, type Statement } from '../../../src/db/postgres/database.js';
import { Events } from '../../../src/db/events/event-repository.js';
import { Images } from '../../../src/db/images/image-repository.js';
import { OutgoingCallbacks } from '../../../src/db/webhooks/webhook-repository.js';
import { pageOfTasks } from '../../../src/db/tasks/task-pages.js';
import { Tasks } from '../../../src/db/tasks/task-repository.js';
import { findUsage } from '../../../src/db/billing/usage-query.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

/** Takes the first line out of a statement: whatever workspace it is given, it reads those of all. */
function forgetful({ name, text, planOnce }: Statement): Statement {
  const forgot = text.replace(/[\w.]*\bworkspace_id = (\$\d+)(::uuid)?/g, '$1::uuid IS NOT NULL');
  return { name: `forgetful-${name}`, text: forgot, planOnce: planOnce ?? false };
}
class WithoutFirstLine extends Database {
  override within<Row extends object>(workspaceId: string, statement: Statement, values: unknown[]) {
    return super.within<Row>(workspaceId, forgetful(statement), values);
  }
  override run<Row extends object>(statement: Statement, values: unknown[]) {
    return super.run<Row>(forgetful(statement), values);
  }
}
class WithoutBoth extends WithoutFirstLine {
  override within<Row extends object>(_workspaceId: string, statement: Statement, values: unknown[]) {
    return this.run<Row>(statement, values);
  }
}

const ours = wholeWorkspace(newId());
const theirs = {
  workspaceId: newId(),
  taskId: newId(),
  imageId: newId(),
  keyId: newId(),
  callbackId: newId(),
};
const month = { from: new Date(Date.now() - 86_400_000), to: new Date(Date.now() + 86_400_000) };

/** What callers can have read, asked by ours for what is theirs. */
const READS: [string, (db: Database, reach: Reach) => Promise<unknown[]>][] = [
  ['tasks by id', (db, reach) => new Tasks(db).findMany(reach, [theirs.taskId])],
  [
    'a task by its key',
    async (db) =>
      some(
        await new Tasks(db).findByKey({ workspaceId: ours.workspaceId, endUserId: null }, 'key', Buffer.of()),
      ),
  ],
  ['a page of tasks', (db, reach) => pageOfTasks(db, reach, {}, null, 10)],
  ['a page of tasks by words', (db, reach) => pageOfTasks(db, reach, { search: 'theirs' }, null, 10)],
  ['images by id', (db, reach) => new Images(db).findMany(reach, [theirs.imageId])],
  ['images of tasks', (db) => new Images(db).findByTasks(ours.workspaceId, [theirs.taskId])],
  ['edits of an image', (db, reach) => new Images(db).pageOfEdits(reach, theirs.imageId, null, 10)],
  ['a callback', async (db, reach) => some(await new Callbacks(db).find(reach, theirs.callbackId))],
  ['a page of callbacks', (db, reach) => new Callbacks(db).page(reach, {}, null, 10)],
  [
    'deliveries',
    (db) => new OutgoingCallbacks(db).pageOfDeliveries(ours.workspaceId, theirs.taskId, null, 10),
  ],
  ['events of a task', (db) => new Events(db).readTaskAfter(ours.workspaceId, theirs.taskId, 0n, 10)],
  ['events of all tasks', (db, reach) => new Events(db).readReachAfter(reach, 0n, 10)],
  ['usage', (db, reach) => findUsage(db, reach, { ...month, groupBy: 'MODEL' }, null, 10)],
  ['a key', async (db) => some(await new ApiKeys(db).find(ours.workspaceId, theirs.keyId))],
  ['a page of keys', (db) => new ApiKeys(db).page(ours.workspaceId, null, 10)],
  ['a page of budgets', (db, reach) => new Budgets(db).page(reach, null, null, 10)],
  [
    'a page of the audit log',
    (db, reach) => new AuditLog(db).page({ ...reach, unowned: false }, {}, null, 10),
  ],
];
const some = (found: unknown) => (found === null ? [] : [found]);

let own: TestDatabase;
let heldOnly: Database;
let heldByNothing: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  const options = { url: own.url, maxConnections: 3, log: pino({ level: 'silent' }) };
  [heldOnly, heldByNothing] = [new WithoutFirstLine(options), new WithoutBoth(options)];
  const { workspaceId, taskId, imageId, keyId, callbackId } = theirs;
  const sql = new Client({ connectionString: own.url });
  await sql.connect();
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'theirs')", [workspaceId]);
  await sql.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, idempotency_key, input_hash, deadline_at)
     VALUES ($1, $2, 'GENERATE', 'theirs', 'flux-dev', 1, 'key', '', now())`,
    [taskId, workspaceId],
  );
  await sql.query(
    `INSERT INTO images (id, workspace_id, task_id, index, parent_id)
     VALUES ($1, $3, $2, 0, NULL), (gen_random_uuid(), $3, $2, 1, $1)`,
    [imageId, taskId, workspaceId],
  );
  await sql.query(
    `INSERT INTO task_events (workspace_id, task_id, type, actor) VALUES ($1, $2, 'TASK_REQUESTED', 'theirs')`,
    [workspaceId, taskId],
  );
  await sql.query('SELECT seal_events(10)');
  await sql.query(
    `INSERT INTO callbacks (id, workspace_id, task_id, verdict, body) VALUES ($1, $2, $3, 'APPLIED', '')`,
    [callbackId, workspaceId, taskId],
  );
  await sql.query(
    `INSERT INTO deliveries (id, callback_id, task_id, workspace_id, attempt, latency_ms)
     VALUES (gen_random_uuid(), $1, $2, $3, 1, 1)`,
    [callbackId, taskId, workspaceId],
  );
  await sql.query(
    `INSERT INTO api_keys (id, workspace_id, name, prefix, hash, scopes) VALUES ($1, $2, 'theirs', 'dk_', '', '{}')`,
    [keyId, workspaceId],
  );
  await sql.query(
    `INSERT INTO budgets (workspace_id, scope, subject, amount, currency) VALUES ($1, 'WORKSPACE', 'theirs', 1, 'USD')`,
    [workspaceId],
  );
  await sql.query(
    `INSERT INTO audit_log (id, workspace_id, action, actor) VALUES (gen_random_uuid(), $1, 'KEY_CREATED', 'theirs')`,
    [workspaceId],
  );
  await sql.end();
});
afterAll(async () => {
  await Promise.all([heldOnly.close(), heldByNothing.close()]);
  await own.drop();
});

describe('a statement that has lost its workspace', () => {
  test.each(READS)('shows nothing of others where it reads %s, as the second line holds', async (_, read) => {
    expect(await read(heldOnly, ours)).toEqual([]);
  });

  test.each(READS)(
    'would show what is theirs where it reads %s, were there no second line',
    async (_, read) => {
      expect(await read(heldByNothing, ours)).not.toEqual([]);
    },
  );
});
