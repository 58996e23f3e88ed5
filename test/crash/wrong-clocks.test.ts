import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { v7 } from 'uuid';
import {
  BudgetsDocument,
  CreateUploadDocument,
  RotateWebhookSecretDocument,
  SetBudgetDocument,
  TasksDocument,
  type TasksQueryVariables,
  ViewerDocument,
  WebhookSecretDocument,
} from '../../clients/operations.js';
import { idTime, newId } from '../../src/core/primitives/ids.js';
import {
  CREATE_KEY,
  type CreatedKey,
  LIST_KEYS,
  type Page,
  type ApiKeyFields,
  REVOKE_KEY,
  ROTATE_KEY,
} from '../support/access/access-operations.js';
import { createClientToken, SECRET_KEY } from '../support/access/client-tokens.js';
import { postGraphql, queryField } from '../support/app/graphql-request.js';
import { pathAndQuery, type TestApp } from '../support/app/test-app.js';
import { SkewedInstance } from '../support/crash/skewed-instance.js';
import { freePort } from '../support/net/free-port.js';
import { TestHttpServer } from '../support/net/test-http-server.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { SandboxUnderTest } from '../support/upstreams/sandbox-under-test.js';
import { waitFor } from '../support/wait-for.js';
import {
  ALLOW_LOOPBACK,
  CHEAPEST_REQUEST,
  hasValidSignature,
} from '../support/webhooks/received-webhooks.js';

const SKEW_MS = 600_000;
const DAY_MS = 24 * 3_600_000;
const MINUTE_MS = 60_000;
/** Less than the skew, so that a decision by the clock of an instance is wrong. */
const TTL_SECONDS = 300;
/** Generous: each child service is compiled as it starts. */
const TIMEOUT_MS = 240_000;

let database: TestDatabase;
let dataDir: string;
let upstream: SandboxUnderTest;
let endpoint: TestHttpServer;
/** Ten minutes ahead, ten minutes behind, and right until it jumps ten minutes back. */
let ahead: SkewedInstance;
let behind: SkewedInstance;
let jumping: SkewedInstance;
let apps: TestApp[];

beforeAll(async () => {
  database = await createTestDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'darkroom-clocks-'));
  upstream = await SandboxUnderTest.start();
  endpoint = await TestHttpServer.open((response) => response.writeHead(204).end());
  const port = String(await freePort());
  const environment = {
    // Their common address leads to the instance that is ahead, so that one gets the callbacks.
    PUBLIC_URL: `http://127.0.0.1:${port}`,
    ...{ SECRET_KEY, FLUX_API_TOKEN: 'test', FLUX_BASE_URL: upstream.url },
    ...{ IMAGE_URL_TTL_SECONDS: String(TTL_SECONDS), PRICES_FILE: 'test/support/billing/prices.json' },
    ...ALLOW_LOOPBACK,
    TUNING: JSON.stringify({ reconcileIntervalMs: 100, readUpstreamAfterMs: 200 }),
  };
  const shared = { databaseUrl: database.url, dataDir, environment };
  // The instance that is ahead comes first, so that it also creates the workspace and the key.
  ahead = await SkewedInstance.start({
    ...{ name: 'ahead', offsetMs: SKEW_MS, ...shared },
    environment: { ...environment, PORT: port },
  });
  const { apiKey } = ahead.app;
  [behind, jumping] = await Promise.all([
    SkewedInstance.start({ name: 'behind', offsetMs: -SKEW_MS, apiKey, ...shared }),
    SkewedInstance.start({ name: 'jumping', offsetMs: 0, apiKey, ...shared }),
  ]);
  apps = [ahead.app, behind.app, jumping.app];
}, TIMEOUT_MS);
afterAll(async () => {
  await Promise.all([ahead, behind, jumping].map(async (instance?: SkewedInstance) => instance?.stop()));
  await endpoint.close();
  await upstream.stop();
  await database.drop();
  await rm(dataDir, { recursive: true, force: true });
});

/** What each of the instances answers. */
const onEach = <Answer>(ask: (app: TestApp) => Promise<Answer>): Promise<Answer[]> =>
  Promise.all(apps.map(ask));
const isAccepted = async (app: TestApp, key: string) =>
  (await postGraphql(app, '{ __typename viewer { keyId } }', {}, key)).errors === undefined;
const createKey = (app: TestApp, expiresAt: number | null = null) =>
  queryField<CreatedKey>(app, CREATE_KEY, {
    input: {
      name: 'short',
      scopes: ['tasks:read'],
      expiresAt: expiresAt && new Date(expiresAt).toISOString(),
    },
  });

/** Requests one task on each instance in turn, and returns them in that order. */
async function generateInTurn(rounds: number, prompt: string): Promise<string[]> {
  const ids: string[] = [];
  for (let round = 0; round < rounds; round += 1)
    for (const app of apps) {
      const webhookUrl = `${endpoint.url}/${ids.length}`;
      ids.push((await app.generate({ ...CHEAPEST_REQUEST, prompt, webhookUrl })).id);
    }
  return ids;
}
/** The IDs of all tasks, newest first, in pages of two, each from another instance. */
async function pageThroughTasks(text: string): Promise<string[]> {
  const ids: string[] = [];
  let after: string | null = null;
  for (let page = 0; ; page += 1) {
    const app = apps[page % apps.length] ?? ahead.app;
    const variables: TasksQueryVariables = { first: 2, after, filter: { search: text } };
    const { tasks } = await app.query(TasksDocument, variables);
    ids.push(...tasks.nodes.map(({ id }) => id));
    if (!tasks.pageInfo.hasNextPage) return ids;
    after = tasks.pageInfo.endCursor ?? null;
  }
}

/** Tasks of all instances are sent, finished, listed in the order of their requests, and reported to the webhook. */
async function expectTasksToWork(prompt: string): Promise<void> {
  const received = endpoint.requests.length;
  const ids = await generateInTurn(3, prompt);
  const settled = await Promise.all(ids.map(async (id, index) => apps[index % 3]?.waitUntilSettled(id)));
  expect(settled.map((task) => task?.status)).toEqual(ids.map(() => 'SUCCEEDED'));
  expect(await pageThroughTasks(prompt)).toEqual([...ids].reverse());
  await waitFor('every webhook', () => endpoint.requests.length >= received + ids.length);
  const { webhookSecret } = await behind.app.query(WebhookSecretDocument, {});
  // Verifying also compares the time that the webhook says with the right clock.
  for (const webhook of endpoint.requests.slice(received))
    expect(hasValidSignature(webhookSecret.secret, webhook)).toBe(true);
  const times = await ahead.app.rows<{ id: string; createdAt: Date }>(
    'SELECT id, created_at AS "createdAt" FROM tasks WHERE id = ANY($1)',
    [ids],
  );
  for (const { id, createdAt } of times)
    expect(Math.abs(idTime(id).getTime() - createdAt.getTime())).toBeLessThan(2_000);
}

describe('with instances ten minutes ahead, ten minutes behind, and right', () => {
  test(
    'tasks are generated at once, listed in order, and reported',
    () => expectTasksToWork('zebra'),
    90_000,
  );

  test('deadlines are kept to the second, and lost callbacks are read', async () => {
    const input = { ...CHEAPEST_REQUEST, timeoutSeconds: 10 };
    const generate = (app: TestApp, directive: string) =>
      app.generate({ ...input, prompt: `slow [sandbox: ${directive}]` });
    const [lost, slow] = await Promise.all([
      onEach((app) => generate(app, 'callback=lost')),
      onEach((app) => generate(app, 'delay=600s')),
    ]);
    const read = await Promise.all(lost.map(({ id }) => ahead.app.waitUntilSettled(id)));
    expect(read.map(({ status }) => status)).toEqual(['SUCCEEDED', 'SUCCEEDED', 'SUCCEEDED']);
    const expired = await Promise.all(slow.map(({ id }) => behind.app.waitUntilSettled(id)));
    expect(expired.map(({ status }) => status)).toEqual(['EXPIRED', 'EXPIRED', 'EXPIRED']);
    const lifetimes = await ahead.app.rows<{ seconds: number }>(
      'SELECT extract(epoch FROM finished_at - created_at)::float AS seconds FROM tasks WHERE id = ANY($1)',
      [slow.map(({ id }) => id)],
    );
    for (const { seconds } of lifetimes) {
      expect(seconds).toBeGreaterThanOrEqual(10);
      expect(seconds).toBeLessThan(15);
    }
  }, 60_000);

  test('a key expires at its time everywhere, and can be given that time on each instance', async () => {
    const inFiveMinutes = Date.now() + TTL_SECONDS * 1_000;
    const keys = await onEach((app) => createKey(app, inFiveMinutes));
    expect(keys.flatMap(({ userErrors }) => userErrors)).toEqual([]);
    for (const { secret } of keys)
      expect(await onEach((app) => isAccepted(app, secret))).toEqual([true, true, true]);
    const past = await onEach((app) => createKey(app, Date.now() - TTL_SECONDS * 1_000));
    expect(past.map(({ userErrors }) => userErrors[0]?.code)).toEqual(Array(3).fill('INVALID_EXPIRY'));
    await ahead.app.rows('UPDATE api_keys SET expires_at = now() - make_interval(secs => $2) WHERE id = $1', [
      keys[0]?.apiKey.id,
      TTL_SECONDS,
    ]);
    await waitFor('the caches to forget the key', async () =>
      (await onEach((app) => isAccepted(app, keys[0]?.secret ?? ''))).every((accepted) => !accepted),
    );
  });

  test('a rotated key works until the end of its grace period everywhere', async () => {
    const keys = await onEach((app) => createKey(app));
    await Promise.all(
      apps.map((app, index) =>
        queryField(app, ROTATE_KEY, { id: keys[index]?.apiKey.id, gracePeriodSeconds: TTL_SECONDS }),
      ),
    );
    // Longer than a key is cached.
    await waitFor('the caches to forget the keys', async () => {
      const { nodes } = await queryField<Page<ApiKeyFields>>(behind.app, LIST_KEYS);
      const rotated = nodes.filter(({ id }) => keys.some(({ apiKey }) => apiKey.id === id));
      return rotated.every(({ expiresAt }) => {
        const left = Date.parse(expiresAt ?? '') - Date.now();
        return left > (TTL_SECONDS - 60) * 1_000 && left <= TTL_SECONDS * 1_000 + 1_000;
      });
    });
    for (const { secret } of keys)
      expect(await onEach((app) => isAccepted(app, secret))).toEqual([true, true, true]);
  });

  test('a client token of one instance is valid on the others', async () => {
    const tokens = await onEach((app) => createClientToken(app, { expiresInSeconds: TTL_SECONDS }));
    for (const { token } of tokens)
      expect(await onEach((app) => isAccepted(app, token))).toEqual([true, true, true]);
  });

  test('an upload link of one instance works on the next, and so does the link of its image', async () => {
    const photo = await sharp({ create: { width: 8, height: 8, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    for (const [index, app] of apps.entries()) {
      const { createUpload } = await app.query(CreateUploadDocument, { input: {} });
      const next = apps[(index + 1) % apps.length] ?? app;
      const path = pathAndQuery(createUpload.upload?.url);
      const response = await fetch(next.url + path, { method: 'PUT', body: new Uint8Array(photo) });
      expect(response.status).toBe(201);
      const { image } = (await response.json()) as { image: { url: string } };
      const statuses = await onEach(async (each) => (await each.get(pathAndQuery(image.url))).status);
      expect(statuses).toEqual([200, 200, 200]);
    }
  });

  test('retention keeps what is younger than its days, whichever instance deletes', async () => {
    const { viewer } = await ahead.app.query(ViewerDocument, {});
    const insert = async (ageMs: number) => {
      const id = v7({ msecs: Date.now() - ageMs });
      await ahead.app.rows(
        `INSERT INTO callbacks (id, workspace_id, task_id, attempt, received_at, body, verdict)
         VALUES ($1, $2, $3, 1, now() - make_interval(secs => $4), '{}', 'APPLIED')`,
        [id, viewer.workspaceId, newId(), ageMs / 1_000],
      );
      return id;
    };
    const isThere = async (id: string) =>
      (await ahead.app.rows('SELECT FROM callbacks WHERE id = $1', [id])).length === 1;
    const young = await insert(30 * DAY_MS - 5 * MINUTE_MS);
    // Enough runs that each instance makes one.
    for (let run = 0; run < 10; run += 1) {
      const old = await insert(30 * DAY_MS + 5 * MINUTE_MS);
      const [job] = await ahead.app.rows<{ id: string }>(
        "SELECT id FROM graphile_worker.add_job('delete-old-callbacks', '{}')",
      );
      await waitFor('the run to end', async () => {
        const jobs = await ahead.app.rows('SELECT FROM graphile_worker.jobs WHERE id = $1', [job?.id]);
        return jobs.length === 0;
      });
      expect([await isThere(old), await isThere(young)]).toEqual([false, true]);
    }
  });

  test('a replaced webhook secret stays in use for its grace period', async () => {
    await behind.app.query(RotateWebhookSecretDocument, { input: { gracePeriodSeconds: TTL_SECONDS } });
    const ends = await onEach(
      async (app) => (await app.query(WebhookSecretDocument, {})).webhookSecret.previousSecretExpiresAt,
    );
    for (const end of ends) {
      expect(Date.parse(end ?? '') - Date.now()).toBeGreaterThan((TTL_SECONDS - 60) * 1_000);
      expect(Date.parse(end ?? '') - Date.now()).toBeLessThanOrEqual(TTL_SECONDS * 1_000 + 1_000);
    }
  });

  test('each instance shows the same month of a budget as PostgreSQL', async () => {
    await ahead.app.query(SetBudgetDocument, {
      input: { scope: 'WORKSPACE', amount: '99', currency: 'USD' },
    });
    const [row] = await ahead.app.rows<{ month: string }>(
      "SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM') AS month",
    );
    const months = await onEach(async (app) =>
      (await app.query(BudgetsDocument, {})).budgets.nodes.map(({ month }) => month),
    );
    expect(months).toEqual(Array(3).fill([row?.month]));
  });

  test('every stored time and every ID is of PostgreSQL’s clock', async () => {
    const { apiKey } = await createKey(ahead.app);
    await queryField(behind.app, REVOKE_KEY, { id: apiKey.id });
    const columns = await ahead.app.rows<{ table: string; column: string; type: string }>(
      `SELECT table_name AS table, column_name AS column, data_type AS type
       FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
       WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND table_name <> '_prisma_migrations'
         AND (column_name IN ('at', 'created_at', 'received_at', 'revoked_at', 'last_used_at', 'used_at', 'started_at')
              OR (column_name = 'id' AND data_type = 'uuid'))`,
    );
    expect(columns.length).toBeGreaterThan(10);
    const wrong: object[] = [];
    for (const { table, column, type } of columns) {
      const time =
        type === 'uuid'
          ? `to_timestamp(('x' || left(replace(${column}::text, '-', ''), 12))::bit(48)::bigint / 1000.0)`
          : column;
      const isTimed = type === 'uuid' ? `substring(${column}::text FROM 15 FOR 1) = '7'` : 'true';
      const rows = await ahead.app.rows<object>(
        `SELECT $1 AS table, $2 AS column, (${time} - now())::text AS off FROM ${table}
         WHERE ${isTimed} AND abs(extract(epoch FROM ${time} - now())) BETWEEN 240 AND ${DAY_MS / 1_000}`,
        [table, column],
      );
      wrong.push(...rows);
    }
    expect(wrong).toEqual([]);
  });
});

describe('when the clock of an instance jumps ten minutes back', () => {
  test('nothing waits for it, and new tasks are still the newest', async () => {
    const running = await jumping.app.generate({
      ...CHEAPEST_REQUEST,
      prompt: 'across the jump [sandbox: delay=1s]',
    });
    await jumping.setOffset(-SKEW_MS);
    expect((await jumping.app.waitUntilSettled(running.id)).status).toBe('SUCCEEDED');
    await expectTasksToWork('okapi');
    const [newest] = (await behind.app.query(TasksDocument, { first: 1 })).tasks.nodes;
    expect(newest?.id).toBe((await pageThroughTasks('okapi'))[0]);
  }, 90_000);

  test('a subscription continues on another instance', async () => {
    const { id } = await jumping.app.generate({ ...CHEAPEST_REQUEST, prompt: 'continued' });
    const first = jumping.app.subscribeToTask(id);
    await first.ended;
    const rest = ahead.app.subscribeToTask(id, first.received[0]?.cursor);
    await rest.ended;
    expect(rest.received.map(({ cursor }) => cursor)).toEqual(
      first.received.slice(1).map(({ cursor }) => cursor),
    );
  });
});
