import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import pino from 'pino';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Visibility, workspaceVisibility } from '../../../src/core/access/visibility.js';
import { ApiKeyRepository } from '../../../src/db/access/api-key-repository.js';
import { AuditRepository } from '../../../src/db/access/audit-repository.js';
import { BudgetRepository } from '../../../src/db/billing/budget-repository.js';
import { CallbackRepository } from '../../../src/db/callbacks/callback-repository.js';
import { Database, type Statement } from '../../../src/db/postgres/database.js';
import { type Statement as NamedStatement } from '../../../src/db/postgres/statement.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { ImageRepository } from '../../../src/db/images/image-repository.js';
import { WebhookRepository } from '../../../src/db/webhooks/webhook-repository.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { findUsage } from '../../../src/db/billing/usage-query.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

/** Removes a statement's own conditions on the workspace, so that it reads the rows of all workspaces. */
function withoutWorkspaceConditions<Given extends { name: string; text: string }>(statement: Given): Given {
  const { name, text } = statement;
  const unconditional = text.replace(/[\w.]*\bworkspace_id = (\$\d+)(::uuid)?/g, '$1::uuid IS NOT NULL');
  return { ...statement, name: `unconditional-${name}`, text: unconditional };
}
class WithoutConditions extends Database {
  override queryAsCaller<Parameters extends object, Row extends object>(
    workspaceId: string,
    statement: NamedStatement<Parameters, Row>,
    parameters: Parameters,
  ) {
    return super.queryAsCaller(workspaceId, withoutWorkspaceConditions(statement), parameters);
  }
  override query<Parameters extends object, Row extends object>(
    statement: NamedStatement<Parameters, Row>,
    parameters: Parameters,
  ) {
    return super.query(withoutWorkspaceConditions(statement), parameters);
  }
  override runAsCaller<Row extends object>(workspaceId: string, statement: Statement, values: unknown[]) {
    return super.runAsCaller<Row>(workspaceId, withoutWorkspaceConditions(statement), values);
  }
  override run<Row extends object>(statement: Statement, values: unknown[]) {
    return super.run<Row>(withoutWorkspaceConditions(statement), values);
  }
}
class WithoutAnyProtection extends WithoutConditions {
  override queryAsCaller<Parameters extends object, Row extends object>(
    _workspaceId: string,
    statement: NamedStatement<Parameters, Row>,
    parameters: Parameters,
  ) {
    return this.query(statement, parameters);
  }
  override runAsCaller<Row extends object>(_workspaceId: string, statement: Statement, values: unknown[]) {
    return this.run<Row>(statement, values);
  }
}

const ours = workspaceVisibility(newId());
const theirs = {
  workspaceId: newId(),
  taskId: newId(),
  imageId: newId(),
  keyId: newId(),
  callbackId: newId(),
};
const month = { from: new Date(Date.now() - 86_400_000), to: new Date(Date.now() + 86_400_000) };

/** All reads of callers, made by our workspace for rows of the other one. */
const READS: [string, (db: Database, reach: Visibility) => Promise<unknown[]>][] = [
  ['tasks by id', (db, reach) => new TaskRepository(db).findMany(reach, [theirs.taskId])],
  [
    'a task by its key',
    async (db) =>
      some(
        await new TaskRepository(db).findByIdempotencyKey({
          workspaceId: ours.workspaceId,
          endUserId: null,
          idempotencyKey: 'key',
          inputHash: Buffer.of(),
        }),
      ),
  ],
  ['a page of tasks', (db, reach) => new TaskRepository(db).page(reach, {}, { before: null, limit: 10 })],
  [
    'a page of tasks by words',
    (db, reach) => new TaskRepository(db).page(reach, { search: 'theirs' }, { before: null, limit: 10 }),
  ],
  ['images by id', (db, reach) => new ImageRepository(db).findMany(reach, [theirs.imageId])],
  ['images of tasks', (db) => new ImageRepository(db).findByTasks(ours.workspaceId, [theirs.taskId])],
  [
    'edits of an image',
    (db, reach) =>
      new ImageRepository(db).pageOfEdits(reach, { parentId: theirs.imageId, after: null, limit: 10 }),
  ],
  ['a callback', async (db, reach) => some(await new CallbackRepository(db).find(reach, theirs.callbackId))],
  ['a page of callbacks', (db, reach) => new CallbackRepository(db).page(reach, {}, null, 10)],
  [
    'webhook deliveries of a task',
    (db) => new WebhookRepository(db).pageOfDeliveries({ ...ours, taskId: theirs.taskId }, null, 10),
  ],
  [
    'webhook attempts of a delivery',
    (db) => {
      const delivery = { id: theirs.callbackId, workspaceId: ours.workspaceId, taskId: theirs.taskId };
      return new WebhookRepository(db).pageOfAttempts(delivery, null, 10);
    },
  ],
  [
    'events of a task',
    (db) => new EventRepository(db).readTaskAfter({ ...ours, taskId: theirs.taskId }, 0n, 10),
  ],
  [
    'events of all tasks',
    (db, reach) => new EventRepository(db).readVisibleAfter(reach, { position: 0n, limit: 10 }),
  ],
  ['usage', (db, reach) => findUsage(db, reach, { ...month, groupBy: 'MODEL' }, null, 10)],
  ['a key', async (db) => some(await new ApiKeyRepository(db).find(ours.workspaceId, theirs.keyId))],
  ['a page of keys', (db) => new ApiKeyRepository(db).page(ours.workspaceId, null, 10)],
  ['a page of budgets', (db, reach) => new BudgetRepository(db).page(reach, null, null, 10)],
  [
    'a page of the audit log',
    (db, reach) =>
      new AuditRepository(db).page({ ...reach, unowned: false }, {}, { before: null, limit: 10 }),
  ],
];
const some = (found: unknown) => (found === null ? [] : [found]);

let own: TestDatabase;
let heldOnly: Database;
let heldByNothing: Database;
beforeAll(async () => {
  own = await createTestDatabase();
  const options = { url: own.url, maxConnections: 3, log: pino({ level: 'silent' }) };
  [heldOnly, heldByNothing] = [new WithoutConditions(options), new WithoutAnyProtection(options)];
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
    `INSERT INTO webhook_deliveries (id, workspace_id, task_id, kind, endpoint)
     VALUES ($1, $2, $3, 'RESULT', 'https://example.com')`,
    [callbackId, workspaceId, taskId],
  );
  await sql.query(
    `INSERT INTO webhook_attempts (id, delivery_id, task_id, workspace_id, attempt_number, latency_ms)
     VALUES (gen_random_uuid(), $1, $2, $3, 1, 1)`,
    [callbackId, taskId, workspaceId],
  );
  await sql.query(
    `INSERT INTO api_keys (id, workspace_id, name, prefix, hash, scopes) VALUES ($1, $2, 'theirs', 'dk_', '', '{}')`,
    [keyId, workspaceId],
  );
  await sql.query(
    `INSERT INTO budgets (workspace_id, scope, scope_id, amount, currency) VALUES ($1, 'WORKSPACE', 'theirs', 1, 'USD')`,
    [workspaceId],
  );
  await sql.query(
    `INSERT INTO audit_log (id, workspace_id, action, actor) VALUES (gen_random_uuid(), $1, 'API_KEY_CREATED', 'theirs')`,
    [workspaceId],
  );
  await sql.end();
});
afterAll(async () => {
  await Promise.all([heldOnly.close(), heldByNothing.close()]);
  await own.drop();
});

describe('a statement without its conditions on the workspace', () => {
  test.each(READS)(
    'returns nothing of another workspace when it reads %s, because of row-level security',
    async (_, read) => {
      expect(await read(heldOnly, ours)).toEqual([]);
    },
  );

  test.each(READS)(
    'would show what is theirs where it reads %s, were there no second line',
    async (_, read) => {
      expect(await read(heldByNothing, ours)).not.toEqual([]);
    },
  );
});
