import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { pino } from 'pino';
import { workspaceVisibility } from '../../../src/core/access/visibility.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { migrate } from '../../../src/db/postgres/migrate.js';
import { type NewTask } from '../../../src/db/tasks/task-row.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { SEARCH_TABLE } from '../../support/tasks/search-table.js';

const log = pino({ level: 'silent' });
const workspaceId = newId();
const OTHER_FIELDS = {
  kind: 'GENERATE',
  model: 'flux-dev',
  size: null,
  requestedCount: 1,
  sourceImageId: null,
  sourceImageUrl: null,
  idempotencyKey: null,
  inputHash: Buffer.alloc(32),
  metadata: null,
  timeoutSeconds: 600,
  retryOfId: null,
  webhookUrl: null,
  traceId: null,
  keyId: newId(),
  keyLineageId: newId(),
  endUserId: null,
  priority: 'NORMAL',
  unitPrice: null,
  currency: null,
} satisfies Partial<NewTask>;

/** Ways in which a server can be set up. A server may lack some: ICU can be left out, and only PostgreSQL 17 has built-in ones. */
const LOCALES: [what: string, options: string][] = [
  ['C', "LOCALE 'C'"],
  ['C.UTF-8 of the system', "LOCALE 'C.UTF-8'"],
  ['C.UTF-8 of PostgreSQL', "LOCALE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"],
  ['PG_UNICODE_FAST', "LOCALE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST'"],
  ['tr_TR of the system', "LOCALE 'tr_TR.UTF-8'"],
  ['tr-TR of ICU', "LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR'"],
];
/** Invalid or unknown locale, unknown provider, feature not supported. */
const LOCALE_MISSING = ['22023', '42809', '42601', '0A000'];
let databasesCount = 0;

describe.each(LOCALES)('with the locale %s', (locale, options) => {
  let database: TestDatabase | undefined;
  let db: Database | undefined;
  let tasks: TaskRepository;
  const ids: string[] = [];
  beforeAll(async () => {
    try {
      database = await createTestDatabase({ empty: true, options: `ENCODING 'UTF8' ${options}` });
    } catch (error) {
      if (!LOCALE_MISSING.includes((error as { code: string }).code)) throw error;
      console.log(`This server does not have the locale ${locale}.`);
      return;
    }
    databasesCount += 1;
    await migrate({ databaseUrl: database.url, migrationsDir: resolve('prisma/migrations'), log });
    db = new Database({ url: database.url, maxConnections: 2, log });
    tasks = new TaskRepository(db);
    for (const { prompt } of SEARCH_TABLE) {
      const task = await tasks.insert({ ...OTHER_FIELDS, id: newId(), workspaceId, prompt }, 'test');
      ids.push(task?.id ?? '');
    }
  }, 180_000);
  afterAll(async () => {
    await db?.close();
    await database?.drop();
  });

  test.each(SEARCH_TABLE.map((row, index) => ({ ...row, index })))(
    'finds prompts by what they contain, and by nothing else: $what',
    async ({ found, notFound, index }) => {
      if (!db) return;
      const results: [search: string, isFound: boolean][] = [];
      for (const search of [...found, ...notFound]) {
        const page = await tasks.page(
          workspaceVisibility(workspaceId),
          { search },
          { before: null, limit: 100 },
        );
        results.push([search, page.some(({ id }) => id === ids[index])]);
      }
      const expected = [
        ...found.map((search) => [search, true]),
        ...notFound.map((search) => [search, false]),
      ];
      expect(results).toEqual(expected);
    },
    60_000,
  );
});

test('nothing finds a prompt that an operator has changed with SQL', async () => {
  const database = await createTestDatabase();
  const db = new Database({ url: database.url, maxConnections: 2, log });
  const sql = new Client({ connectionString: database.url });
  await sql.connect();
  try {
    const tasks = new TaskRepository(db);
    const search = async () => {
      const filter = { search: 'katze' };
      const page = await tasks.page(workspaceVisibility(workspaceId), filter, { before: null, limit: 100 });
      return page.map(({ id }) => id);
    };
    const newTasks = ['Katze', 'Katzen'].map((prompt) => ({
      ...OTHER_FIELDS,
      id: newId(),
      workspaceId,
      prompt,
    }));
    for (const task of newTasks) await tasks.insert(task, 'test');
    const [secret, other] = newTasks.map(({ id }) => id);
    await expect(search()).resolves.toEqual([other, secret]);

    await sql.query("SET search_path = 'pg_catalog'");
    await sql.query("UPDATE public.tasks SET prompt = 'removed' WHERE id = $1", [secret]);
    await expect(search()).resolves.toEqual([other]);
    const { rows } = await sql.query('SELECT task_id AS id FROM public.searchable_prompts');
    expect(rows).toEqual([{ id: other }]);
  } finally {
    await sql.end();
    await db.close();
    await database.drop();
  }
}, 60_000);

test('most of these locales exist on this server', () => {
  expect(databasesCount).toBeGreaterThanOrEqual(2);
});
