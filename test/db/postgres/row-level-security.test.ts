import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import pino from 'pino';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Visibility, workspaceVisibility } from '../../../src/core/access/visibility.js';
import { ApiKeyRepository } from '../../../src/db/access/api-key-repository.js';
import { AuditRepository } from '../../../src/db/access/audit-repository.js';
import { BudgetRepository } from '../../../src/db/billing/budget-repository.js';
import { CallbackRepository } from '../../../src/db/callbacks/callback-repository.js';
import { Database, type DatabaseOptions } from '../../../src/db/postgres/database.js';
import { type Reader } from '../../../src/core/limits/slow-read-slots.js';
import { type Statement } from '../../../src/db/postgres/statement.js';
import { EventRepository } from '../../../src/db/events/event-repository.js';
import { VisibleEvents } from '../../../src/db/events/visible-events.js';
import { ImageRepository } from '../../../src/db/images/image-repository.js';
import { WebhookRepository } from '../../../src/db/webhooks/webhook-repository.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { UsageRepository } from '../../../src/db/billing/usage-repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

/** Removes a statement's own conditions on the workspace. */
function withoutSqlConditions<Given extends { name: string; text: string }>(statement: Given): Given {
  const { name, text } = statement;
  const unconditional = text.replace(/[\w.]*\bworkspace_id = (\$\d+)(::uuid)?/g, '$1::uuid IS NOT NULL');
  return { ...statement, name: `unconditional-${name}`, text: unconditional };
}

/** Removes `workspaceId` from a `where` of Prisma Client, at any depth. */
function removePrismaConditions(where: unknown): unknown {
  if (Array.isArray(where)) return where.map(removePrismaConditions);
  if (where === null || typeof where !== 'object' || where instanceof Date) return where;
  const others = Object.entries(where).filter(([field]) => field !== 'workspaceId');
  return Object.fromEntries(others.map(([field, value]) => [field, removePrismaConditions(value)]));
}

/** Removes the queries' own conditions on the workspace, so that only row-level security restricts them. */
class WithoutConditions extends Database {
  constructor(options: DatabaseOptions) {
    super(options);
    const prisma = this.prisma.$extends({
      query: {
        $allOperations: ({ args, query }) => {
          const { where, ...others } = Object(args) as { where?: unknown };
          return query(where ? { ...others, where: removePrismaConditions(where) } : args);
        },
      },
    });
    Object.assign(this, { prisma });
  }

  override queryAsCaller<Parameters extends object, Row extends object>(
    reader: Reader,
    statement: Statement<Parameters, Row>,
    parameters: Parameters,
  ) {
    return super.queryAsCaller(reader, withoutSqlConditions(statement), parameters);
  }

  override query<Parameters extends object, Row extends object>(
    statement: Statement<Parameters, Row>,
    parameters: Parameters,
  ) {
    return super.query(withoutSqlConditions(statement), parameters);
  }
}

const ours = workspaceVisibility(newId());
const OF_END_USER = { ...ours, endUserId: 'their user' };
const theirs = {
  workspaceId: newId(),
  taskId: newId(),
  imageId: newId(),
  keyId: newId(),
  callbackId: newId(),
};
const month = { from: new Date(Date.now() - 86_400_000), to: new Date(Date.now() + 86_400_000) };

/** The words in the index carry their workspace, so this read is limited in three ways. */
const BY_WORDS = 'a page of tasks by words';
/** All reads of callers, made by our workspace for rows of the other one. */
const READS: [string, (db: Database, visibility: Visibility) => Promise<unknown[]>][] = [
  ['tasks by id', (db, visibility) => new TaskRepository(db).findMany(visibility, [theirs.taskId])],
  [
    'a task by its key',
    async (db) =>
      some(
        await new TaskRepository(db).findByIdempotencyKey({
          workspaceId: ours.workspaceId,
          endUserId: 'their user',
          idempotencyKey: 'key',
          inputHash: Buffer.of(),
        }),
      ),
  ],
  [
    'a page of tasks',
    (db, visibility) => new TaskRepository(db).page(visibility, {}, { before: null, limit: 10 }),
  ],
  [
    BY_WORDS,
    (db, visibility) =>
      new TaskRepository(db).page(visibility, { search: 'theirs' }, { before: null, limit: 10 }),
  ],
  ['images by id', (db, visibility) => new ImageRepository(db).findMany(visibility, [theirs.imageId])],
  ['images of tasks', (db) => new ImageRepository(db).findByTasks(ours.workspaceId, [theirs.taskId])],
  [
    'edits of an image',
    (db, visibility) =>
      new ImageRepository(db).pageOfEdits(visibility, { parentId: theirs.imageId, after: null, limit: 10 }),
  ],
  [
    'a callback',
    async (db, visibility) => some(await new CallbackRepository(db).find(visibility, theirs.callbackId)),
  ],
  [
    'a page of callbacks',
    (db, visibility) => new CallbackRepository(db).page(visibility, {}, { before: null, limit: 10 }),
  ],
  [
    'a callback, for an end user',
    async (db) => some(await new CallbackRepository(db).find(OF_END_USER, theirs.callbackId)),
  ],
  [
    'a page of callbacks, for an end user',
    (db) => new CallbackRepository(db).page(OF_END_USER, {}, { before: null, limit: 10 }),
  ],
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
    (db, visibility) => new EventRepository(db).readVisibleAfter(visibility, { position: 0n, limit: 10 }),
  ],
  ...[
    { name: 'by task', tasks: 10 },
    { name: 'in order', tasks: -1 },
  ].map(({ name, tasks }): (typeof READS)[number] => [
    `a range of the events of an end user, ${name}`,
    async (db) => {
      const bounds = { tasks, positionsByTask: 10n, positionsInOrder: 10n };
      const range = { position: 0n, endPosition: 10n, limit: 10 };
      return (await new VisibleEvents(db, bounds).readPage(OF_END_USER, range)).events;
    },
  ]),
  [
    'usage',
    (db, visibility) =>
      new UsageRepository(db).page(visibility, { ...month, groupBy: 'MODEL' }, { after: null, limit: 10 }),
  ],
  ['a key', async (db) => some(await new ApiKeyRepository(db).find(ours.workspaceId, theirs.keyId))],
  ['a page of keys', (db) => new ApiKeyRepository(db).page(ours.workspaceId, null, 10)],
  [
    'a page of budgets',
    (db, visibility) => new BudgetRepository(db).page(visibility, null, { after: null, limit: 10 }),
  ],
  [
    'a budget',
    async (db) => {
      const key = { workspaceId: ours.workspaceId, scope: 'WORKSPACE' as const, scopeId: 'theirs' };
      return some(await new BudgetRepository(db).findCurrent(key));
    },
  ],
  [
    'a page of the audit log',
    (db, visibility) =>
      new AuditRepository(db).page({ ...visibility, unowned: false }, {}, { before: null, limit: 10 }),
  ],
];
const some = (found: unknown) => (found === null ? [] : [found]);

let own: TestDatabase;
let db: Database;
let admin: Client;
beforeAll(async () => {
  own = await createTestDatabase();
  db = new WithoutConditions({ url: own.url, maxConnections: 3, log: pino({ level: 'silent' }) });
  const { workspaceId, taskId, imageId, keyId, callbackId } = theirs;
  admin = new Client({ connectionString: own.url });
  await admin.connect();
  await admin.query("INSERT INTO workspaces (id, name) VALUES ($1, 'theirs')", [workspaceId]);
  await admin.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, idempotency_key, input_hash, deadline_at,
                        end_user_id)
     VALUES ($1, $2, 'GENERATE', 'theirs', 'flux-dev', 1, 'key', '', now(), 'their user')`,
    [taskId, workspaceId],
  );
  await admin.query(
    `INSERT INTO images (id, workspace_id, task_id, index, parent_id)
     VALUES ($1, $3, $2, 0, NULL), (gen_random_uuid(), $3, $2, 1, $1)`,
    [imageId, taskId, workspaceId],
  );
  await admin.query(
    `INSERT INTO task_events (workspace_id, task_id, type, actor) VALUES ($1, $2, 'TASK_REQUESTED', 'theirs')`,
    [workspaceId, taskId],
  );
  await admin.query('SELECT seal_events(10)');
  await admin.query(
    `INSERT INTO callbacks (id, workspace_id, task_id, verdict, body) VALUES ($1, $2, $3, 'APPLIED', '')`,
    [callbackId, workspaceId, taskId],
  );
  await admin.query(
    `INSERT INTO webhook_deliveries (id, workspace_id, task_id, kind, endpoint)
     VALUES ($1, $2, $3, 'RESULT', 'https://example.com')`,
    [callbackId, workspaceId, taskId],
  );
  await admin.query(
    `INSERT INTO webhook_attempts (id, delivery_id, task_id, workspace_id, attempt_number, latency_ms)
     VALUES (gen_random_uuid(), $1, $2, $3, 1, 1)`,
    [callbackId, taskId, workspaceId],
  );
  await admin.query(
    `INSERT INTO api_keys (id, lineage_id, workspace_id, name, prefix, hash, scopes) VALUES ($1, $1, $2, 'theirs', 'dk_', '', '{}')`,
    [keyId, workspaceId],
  );
  await admin.query(
    `INSERT INTO budgets (workspace_id, scope, scope_id, amount, currency) VALUES ($1, 'WORKSPACE', 'theirs', 1, 'USD')`,
    [workspaceId],
  );
  await admin.query(
    `INSERT INTO audit_log (id, workspace_id, action, actor) VALUES (gen_random_uuid(), $1, 'API_KEY_CREATED', 'theirs')`,
    [workspaceId],
  );
});
afterAll(async () => {
  await admin.end();
  await db.close();
  await own.drop();
});

describe('a read without its conditions on the workspace', () => {
  test.each(READS)(
    'returns nothing of another workspace when it reads %s, because of row-level security',
    async (_, read) => {
      expect(await read(db, ours)).toEqual([]);
    },
  );
});

describe('when row-level security is dropped, a read without its conditions on the workspace', () => {
  beforeAll(async () => {
    const { rows } = await admin.query<{ name: string }>(
      `SELECT quote_ident(tablename) AS name FROM pg_policies WHERE policyname = 'caller_access'`,
    );
    for (const { name } of rows)
      await admin.query(
        `DROP POLICY caller_access ON ${name}; ALTER TABLE ${name} DISABLE ROW LEVEL SECURITY`,
      );
  });

  const searches = READS.filter(([name]) => name === BY_WORDS);
  const otherReads = READS.filter(([name]) => name !== BY_WORDS);

  test.each(otherReads)('returns rows of another workspace when it reads %s', async (_, read) => {
    expect(await read(db, ours)).not.toEqual([]);
  });

  test.each(searches)('returns nothing when it reads %s, whose index is by workspace', async (_, read) => {
    expect(await read(db, ours)).toEqual([]);
  });
});
