import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import pino from 'pino';
import { DatabaseUnavailable } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Prisma } from '../../../src/db/generated/client.js';
import { Database } from '../../../src/db/postgres/database.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const [ours, theirs] = [newId(), newId()];
const [ourTask, theirTask] = [newId(), newId()];
const options = { maxConnections: 1, log: pino({ level: 'silent' }) };

let own: TestDatabase;
/** One connection, so that a query sees whatever the one before it left behind. */
let db: Database;
let admin: Client;
beforeAll(async () => {
  own = await createTestDatabase();
  db = new Database({ url: own.url, ...options });
  admin = new Client({ connectionString: own.url });
  await admin.connect();
  await admin.query(
    `INSERT INTO tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at)
     SELECT id, workspace_id, 'GENERATE', 'a prompt', 'flux-dev', 1, '', now()
     FROM unnest($1::uuid[], $2::uuid[]) AS task (id, workspace_id)`,
    [
      [ourTask, theirTask],
      [ours, theirs],
    ],
  );
  // One image of each workspace belongs to our task, as no statement of ours would write it.
  await admin.query(
    `INSERT INTO images (id, workspace_id, task_id, index)
     SELECT gen_random_uuid(), workspace_id, $1, row_number() OVER () FROM unnest($2::uuid[]) AS workspace_id`,
    [ourTask, [ours, theirs]],
  );
});
afterAll(async () => {
  await admin.end();
  await db.close();
  await own.drop();
});

const workspacesOfTasks = async (workspaceId: string) =>
  (await db.withPrismaAsCaller({ workspaceId }, (prisma) => prisma.task.findMany())).map(
    (task) => task.workspaceId,
  );
const session = async () => {
  const rows = await db.prisma.$queryRaw<object[]>`
    SELECT pg_backend_pid() AS pid, current_user::text AS role,
           coalesce(current_setting('darkroom.workspace_id', true), '') AS workspace`;
  return rows[0];
};

describe("a caller's read through Prisma Client", () => {
  test('reads only its own workspace when it has no condition at all', async () => {
    expect(await workspacesOfTasks(ours)).toEqual([ours]);
    expect(await workspacesOfTasks(theirs)).toEqual([theirs]);
    expect(await db.prisma.task.count()).toBe(2);
  });

  test('reads nothing of another workspace that it names, and nothing without a workspace', async () => {
    const read = (workspaceId: string) =>
      db.withPrismaAsCaller({ workspaceId }, (prisma) =>
        prisma.task.findMany({ where: { workspaceId: theirs } }),
      );
    expect(await read(ours)).toEqual([]);
    expect(await read('')).toEqual([]);
  });

  test('reads only its own workspace in nested relations, counts and filters over relations', async () => {
    const include = { images: true, _count: { select: { images: true } } };
    const [task] = await db.withPrismaAsCaller({ workspaceId: ours }, (prisma) =>
      prisma.task.findMany({ include }),
    );
    expect(task?.images.map(({ workspaceId }) => workspaceId)).toEqual([ours]);
    expect(task?._count.images).toBe(1);
    const withForeignImage = { images: { some: { workspaceId: theirs } } };
    const count = (workspaceId: string) =>
      db.withPrismaAsCaller({ workspaceId }, (prisma) => prisma.task.count({ where: withForeignImage }));
    expect(await count(ours)).toBe(0);
    const all = await db.prisma.task.findMany({ where: withForeignImage, include });
    expect(all.map((found) => found._count.images)).toEqual([2]);
  });

  test('keeps apart lookups by ID that two workspaces make at the same moment', async () => {
    const shared = new Database({ url: own.url, ...options, maxConnections: 2 });
    try {
      const find = (workspaceId: string) =>
        shared.withPrismaAsCaller({ workspaceId }, (prisma) =>
          prisma.task.findUnique({ where: { id: ourTask } }),
        );
      const found = await Promise.all(Array.from({ length: 40 }, (_, n) => find(n % 2 ? ours : theirs)));
      expect(found.map((task) => task?.id)).toEqual(
        Array.from({ length: 40 }, (_, n) => (n % 2 ? ourTask : undefined)),
      );
    } finally {
      await shared.close();
    }
  });

  test('ends its role with its transaction, after a success and after a failure', async () => {
    const before = await session();
    const during = await db.withPrismaAsCaller(
      { workspaceId: ours },
      (prisma) => prisma.$queryRaw<object[]>`
        SELECT pg_backend_pid() AS pid, current_user::text AS role, current_setting('darkroom.workspace_id') AS workspace`,
    );
    expect(during).toEqual([{ ...before, role: 'darkroom_caller', workspace: ours }]);
    expect(await session()).toEqual(before);
    const failing = db.withPrismaAsCaller({ workspaceId: ours }, (prisma) => prisma.$queryRaw`SELECT 1 / 0`);
    await expect(failing).rejects.toThrow('division by zero');
    expect(await session()).toEqual(before);
    const thrown = db.withPrismaAsCaller({ workspaceId: ours }, () =>
      Promise.reject(new Error('thrown by the read')),
    );
    await expect(thrown).rejects.toThrow('thrown by the read');
    expect(await session()).toEqual(before);
  });

  test.each<[string, (db: Database) => Promise<unknown>]>([
    [
      'change a row of its own',
      (db) =>
        db.withPrismaAsCaller({ workspaceId: ours }, (prisma) =>
          prisma.task.update({ where: { id: ourTask }, data: { prompt: 'changed' } }),
        ),
    ],
    [
      'delete rows',
      (db) => db.withPrismaAsCaller({ workspaceId: ours }, (prisma) => prisma.image.deleteMany()),
    ],
    [
      'read workspaces',
      (db) => db.withPrismaAsCaller({ workspaceId: ours }, (prisma) => prisma.workspace.findMany()),
    ],
    [
      'read the ledger',
      (db) => db.withPrismaAsCaller({ workspaceId: ours }, (prisma) => prisma.ledgerEntry.findMany()),
    ],
  ])('may not %s', async (_, attempt) => {
    await expect(attempt(db)).rejects.toThrow(/permission denied/);
    expect(await db.prisma.image.count()).toBe(2);
  });

  const moments: [string, (prisma: Prisma.TransactionClient) => Promise<unknown>][] = [
    ['between two reads', (prisma) => prisma.task.findMany()],
    ['before its commit', () => Promise.resolve()],
  ];
  test.each(moments)('throws DatabaseUnavailable when its session ends %s', async (_moment, next) => {
    const read = db.withPrismaAsCaller({ workspaceId: ours }, async (prisma) => {
      const [row] = await prisma.$queryRaw<{ pid: number }[]>`SELECT pg_backend_pid() AS pid`;
      await admin.query('SELECT pg_terminate_backend($1)', [row?.pid]);
      await waitFor('the session to end', async () => {
        const { rowCount } = await admin.query('SELECT FROM pg_stat_activity WHERE pid = $1', [row?.pid]);
        return rowCount === 0;
      });
      await next(prisma);
    });
    await expect(read).rejects.toThrow(DatabaseUnavailable);
    expect(await workspacesOfTasks(ours)).toEqual([ours]);
  });

  test.each(moments)(
    'throws DatabaseUnavailable when the network resets its connection %s',
    async (_moment, next) => {
      const { proxy, url } = await TcpProxy.inFrontOf(own.url);
      const behindProxy = new Database({ url, ...options });
      const read = behindProxy.withPrismaAsCaller({ workspaceId: ours }, async (prisma) => {
        await prisma.task.findMany();
        await proxy.reset();
        await next(prisma);
      });
      await expect(read).rejects.toThrow(DatabaseUnavailable);
      await behindProxy.close();
    },
  );

  test('throws DatabaseUnavailable when its connection is terminated, and the next one works', async () => {
    await admin.query('SELECT pg_advisory_lock(15)');
    const waiting = db.withPrismaAsCaller(
      { workspaceId: ours },
      (prisma) => prisma.$queryRaw`SELECT pg_advisory_lock(15)::text`,
    );
    const refused = expect(waiting).rejects.toThrow(DatabaseUnavailable);
    await waitFor('the end of the one that waits', async () => {
      const { rowCount } = await admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event = 'advisory'`,
      );
      return rowCount === 1;
    });
    await refused;
    expect(await workspacesOfTasks(ours)).toEqual([ours]);
  });

  test('throws DatabaseUnavailable when PostgreSQL cannot be reached', async () => {
    const unreachable = new Database({ url: 'postgresql://nobody@127.0.0.1:1/none', ...options });
    const read = unreachable.withPrismaAsCaller({ workspaceId: ours }, (prisma) => prisma.task.findMany());
    await expect(read).rejects.toThrow(DatabaseUnavailable);
    const write = unreachable.transactionWithPrisma((prisma) => prisma.task.findMany());
    await expect(write).rejects.toThrow(DatabaseUnavailable);
    await unreachable.close();
  });
});

test('a transaction through Prisma Client is rolled back when its work fails', async () => {
  const work = db.transactionWithPrisma(async (prisma) => {
    await prisma.task.update({ where: { id: ourTask }, data: { prompt: 'changed' } });
    throw new Error('failed after a write');
  });
  await expect(work).rejects.toThrow('failed after a write');
  const task = await db.prisma.task.findUnique({ where: { id: ourTask } });
  expect(task?.prompt).toBe('a prompt');
});
