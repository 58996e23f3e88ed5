import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { CreateUploadDocument, ViewerDocument } from '../../../clients/operations.js';
import { SCOPES } from '../../../src/core/access/caller.js';
import { Signer } from '../../../src/core/access/signer.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { FLUX_REQUEST_ERRORS, OTHER_FLUX_ERROR } from '../../../src/core/flux-api/flux-errors.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';
import {
  bearer,
  errorOf,
  errorOfPost,
  type ErrorOutcome,
  errorOverWebSocket,
} from '../../support/app/error-outcomes.js';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const SECRET_KEY = 'the secret of an installation that is only a test';
const RETRY_SECONDS = /^[1-9]\d*$/;
const VIEWER = { query: '{ viewer { keyName } }' };
const TASKS = { query: '{ tasks { nodes { id } } }' };
const MALFORMED = '{"query": ';
const ANY_TASK = { action: 'retrieve', id: newId() };
const USAGE = '/usage.csv?from=2026-01-01&to=2026-01-02&groupBy=DAY';

let database: TestDatabase;
let proxy: TcpProxy;
let app: TestApp;
let workspaceId: string;
let imagePath: string;
beforeAll(async () => {
  // graphile-worker prints a trace to the console when it loses a connection.
  jest.spyOn(console, 'trace').mockImplementation(() => undefined);
  database = await createTestDatabase();
  const proxied = await TcpProxy.inFrontOf(database.url);
  proxy = proxied.proxy;
  app = await TestApp.start({
    databaseUrl: proxied.url,
    environment: { SECRET_KEY, MAX_IMAGE_BYTES: '8000000', OPERATIONS_PER_REQUEST: '1' },
    tuning: { rateLimitWindowMs: 24 * 3_600_000 },
  });
  workspaceId = (await app.query(ViewerDocument, {})).viewer.workspaceId;
  const { id } = await app.generate({ prompt: 'stored before the faults' });
  await app.waitForEvent(id, 'IMAGE_STORED');
  imagePath = pathAndQuery((await app.task(id)).images[0]?.url);
});
afterAll(async () => {
  await proxy.restore().catch(() => undefined);
  await app.stop();
  await proxy.cut();
  await database.drop();
});

const callbackPath = (taskId = newId()) =>
  `/callbacks/flux/${taskId}/1.${new Signer(Buffer.from(SECRET_KEY)).sign('flux-callback', `${taskId}.1`)}`;
const own = () => bearer(app.apiKey);
const put = (path: string, body: string | Uint8Array) => errorOf(app, path, { method: 'PUT', body });
async function uploadPath(): Promise<string> {
  const { createUpload } = await app.query(CreateUploadDocument, { input: {} });
  return pathAndQuery(createUpload.upload?.url);
}
/** Sends the same operation over the three transports of GraphQL. */
const operation = (body: object | string, key = () => app.apiKey): Attempts => ({
  'GraphQL over HTTP': () => errorOfPost(app, '/graphql', { body, headers: bearer(key()) }),
  'GraphQL over server-sent events': () =>
    errorOfPost(app, '/graphql/stream', { body, headers: bearer(key()) }),
  ...(typeof body === 'object' && { 'GraphQL over WebSocket': () => errorOverWebSocket(app, key(), body) }),
});
const flux = (body: object | string, headers: () => Record<string, string> = own): Attempts => ({
  'Flux API': () => errorOfPost(app, '/flux/tasks', { body, headers: headers() }),
});

type Attempts = Record<string, () => Promise<ErrorOutcome>>;
interface Fault {
  code: string;
  status: number;
  /** The error belongs to a field of an executed operation, whose response has the status 200. */
  isInOperation?: boolean;
  retryAfter?: RegExp;
  /** How a WebSocket closes that cannot report the error. */
  closeCode?: number;
  attempts: Attempts;
}

/** Every attempt must have the outcome of its fault. */
function expectSameOutcome({ attempts, ...fault }: Fault): void {
  test.each(Object.keys(attempts))('%s', async (transport) => {
    const outcome = await attempts[transport]?.();
    if (!outcome) throw new Error('There is no such attempt.');
    const { status, code, headers, closeCode, message } = outcome;
    if (closeCode !== undefined) return expect(closeCode).toBe(fault.closeCode);
    const fluxCode = (FLUX_REQUEST_ERRORS[fault.code] ?? OTHER_FLUX_ERROR).code;
    expect(code).toBe(transport.startsWith('Flux') ? fluxCode : fault.code);
    expect(message).toMatch(/^[A-Z`].*\.$/s);
    if (!headers) return;
    const isExecuted = fault.isInOperation === true && transport.startsWith('GraphQL');
    expect(status).toBe(isExecuted ? 200 : fault.status);
    if (isExecuted) return;
    expect(headers['cache-control']).toContain('no-store');
    expect(headers['www-authenticate']).toBe(fault.status === 401 ? 'Bearer' : null);
    if (fault.retryAfter) expect(headers['retry-after']).toMatch(fault.retryAfter);
    else expect(headers['retry-after']).toBeNull();
  });
}

describe('a missing or wrong credential', () =>
  expectSameOutcome({
    ...{ code: 'UNAUTHENTICATED', status: 401, closeCode: 4403 },
    attempts: {
      ...operation(VIEWER, () => 'dk_wrong'),
      'GraphQL over HTTP, with a malformed body': () => errorOfPost(app, '/graphql', { body: MALFORMED }),
      'GraphQL over server-sent events, with a malformed body': () =>
        errorOfPost(app, '/graphql/stream', { body: MALFORMED }),
      '/usage.csv': () => errorOf(app, USAGE),
      '/events': () => errorOf(app, '/events'),
      callbacks: () => errorOfPost(app, `/callbacks/flux/${newId()}/wrong`, { body: {} }),
      ...flux(MALFORMED, () => ({})),
    },
  }));

describe('a missing scope', () => {
  let key: string;
  beforeAll(async () => {
    key = await addKey(app, workspaceId, []);
  });
  expectSameOutcome({
    ...{ code: 'FORBIDDEN', status: 403, isInOperation: true },
    attempts: {
      ...operation(TASKS, () => key),
      '/usage.csv': () => errorOf(app, USAGE, { headers: bearer(key) }),
      '/events': () => errorOf(app, '/events', { headers: bearer(key) }),
      ...flux(ANY_TASK, () => bearer(key)),
    },
  });
});

describe('a used up rate limit', () => {
  let key: string;
  beforeAll(async () => {
    key = await addKey(app, workspaceId, SCOPES, { requestsPerMinute: 1 });
    await app.execute(ViewerDocument, {}, key);
  });
  expectSameOutcome({
    ...{ code: 'RATE_LIMITED', status: 429, retryAfter: RETRY_SECONDS },
    attempts: {
      ...operation(VIEWER, () => key),
      '/usage.csv': () => errorOf(app, USAGE, { headers: bearer(key) }),
      '/events': () => errorOf(app, '/events', { headers: bearer(key) }),
      ...flux(ANY_TASK, () => bearer(key)),
    },
  });
});

describe('something that does not exist', () =>
  expectSameOutcome({
    ...{ code: 'NOT_FOUND', status: 404, isInOperation: true },
    attempts: {
      'GraphQL over server-sent events': () =>
        errorOfPost(app, '/graphql/stream', {
          body: { query: `subscription { taskUpdated(id: "${newId()}") { id } }` },
          headers: own(),
        }),
      'GraphQL over WebSocket': () =>
        errorOverWebSocket(app, app.apiKey, {
          query: `subscription { taskUpdated(id: "${newId()}") { id } }`,
        }),
      'the events of a task': () => errorOf(app, `/tasks/${newId()}/events`, { headers: own() }),
      'a path': () => errorOf(app, '/nothing'),
      'Flux API': () => errorOfPost(app, '/flux/videos', { body: {}, headers: own() }),
    },
  }));

describe('a body that is too large', () => {
  const large = JSON.stringify({ query: `# ${'x'.repeat(1_100_000)}` });
  expectSameOutcome({
    ...{ code: 'PAYLOAD_TOO_LARGE', status: 413 },
    attempts: {
      ...operation(large),
      uploads: async () => put(await uploadPath(), Buffer.alloc(8_000_001)),
      callbacks: () => errorOfPost(app, callbackPath(), { body: JSON.stringify('x'.repeat(10_500_000)) }),
      ...flux(large),
    },
  });
});

describe.each([
  ['that is not JSON', {}, MALFORMED],
  ['with an unknown content-encoding', { 'content-encoding': 'rot13' }, '{}'],
  ['that is not compressed as announced', { 'content-encoding': 'gzip' }, '{}'],
  ['in an unknown charset', { 'content-type': 'application/json; charset=morse' }, '{}'],
])('a body %s', (_what, headers, body) => {
  const send = (path: string) => errorOfPost(app, path, { body, headers: { ...own(), ...headers } });
  expectSameOutcome({
    ...{ code: 'BAD_REQUEST', status: 400 },
    attempts: {
      'GraphQL over HTTP': () => send('/graphql'),
      'GraphQL over server-sent events': () => send('/graphql/stream'),
      // A callback has bytes, so that its charset does not matter. An empty object is not a result.
      callbacks: () => send(callbackPath()),
      'Flux API': () => send('/flux/tasks'),
    },
  });
});

describe('an invalid argument', () =>
  expectSameOutcome({
    ...{ code: 'BAD_REQUEST', status: 400, isInOperation: true },
    attempts: {
      ...operation({ query: '{ tasks(first: 0) { nodes { id } } }' }),
      '/usage.csv': () => errorOf(app, '/usage.csv?groupBy=COLOR', { headers: own() }),
      '/events': () => errorOf(app, '/events?types=COLOR', { headers: own() }),
      images: () => errorOf(app, `${imagePath}&w=7`),
      uploads: async () => put(await uploadPath(), 'not an image'),
      'an upload form': async () =>
        errorOf(app, await uploadPath(), {
          method: 'POST',
          headers: { 'content-type': 'multipart/form-data; boundary=x' },
          body: '--x\r\ncontent-disposition: form-data; name="file"; filename="a.png"\r\n\r\nunfinished',
        }),
      'a path that cannot be decoded': () => errorOf(app, '/images/%E0%A4%A'),
      ...flux({ action: 'retrieve', id: 7 }),
    },
  }));

describe('an invalid variable', () =>
  expectSameOutcome({
    ...{ code: 'BAD_USER_INPUT', status: 400 },
    attempts: operation({ query: 'query ($id: ID!) { task(id: $id) { id } }', variables: {} }),
  }));

describe('an unknown field', () =>
  expectSameOutcome({
    ...{ code: 'GRAPHQL_VALIDATION_FAILED', status: 400 },
    attempts: operation({ query: '{ nothing }' }),
  }));

describe('a document over a limit', () =>
  expectSameOutcome({
    ...{ code: 'QUERY_TOO_COMPLEX', status: 400 },
    attempts: operation({
      query:
        '{ tasks(first: 100) { nodes { events(first: 100) { nodes { task { events(first: 100) { nodes { id } } } } } } } }',
    }),
  }));

describe('an unavailable image store', () => {
  const images = () => join(app.dataDir, 'images');
  beforeAll(async () => {
    await rename(join(images(), 'incoming'), join(images(), 'moved'));
    await writeFile(join(images(), 'incoming'), 'not a folder');
    for (const name of await readdir(images()))
      if (/^[0-9a-f]{2}$/.test(name)) await rm(join(images(), name), { recursive: true });
  });
  afterAll(async () => {
    await rm(join(images(), 'incoming'));
    await rename(join(images(), 'moved'), join(images(), 'incoming'));
  });
  expectSameOutcome({
    ...{ code: 'STORE_UNAVAILABLE', status: 503, retryAfter: RETRY_SECONDS },
    attempts: {
      images: () => errorOf(app, imagePath),
      uploads: async () => put(await uploadPath(), 'any bytes'),
    },
  });
});

describe('an unexpected error', () => {
  const outcomes: ErrorOutcome[] = [];
  const recorded = (attempts: Attempts): Attempts =>
    Object.fromEntries(
      Object.entries(attempts).map(([transport, attempt]) => [
        transport,
        async () => {
          const outcome = await attempt();
          outcomes.push(outcome);
          return outcome;
        },
      ]),
    );
  describe('before the request is executed', () => {
    let key: string;
    beforeAll(async () => {
      key = await addWorkspaceWithKey(app);
      await app.rows('ALTER TABLE api_keys RENAME TO renamed_api_keys');
    });
    afterAll(() => app.rows('ALTER TABLE renamed_api_keys RENAME TO api_keys'));
    expectSameOutcome({
      ...{ code: 'INTERNAL_SERVER_ERROR', status: 500, closeCode: 1013 },
      attempts: recorded({
        ...operation(VIEWER, () => key),
        '/usage.csv': () => errorOf(app, USAGE, { headers: bearer(key) }),
        '/events': () => errorOf(app, '/events', { headers: bearer(key) }),
        ...flux(ANY_TASK, () => bearer(key)),
      }),
    });
  });

  describe('while it is executed', () => {
    beforeAll(() => app.rows('ALTER TABLE images RENAME TO renamed_images'));
    afterAll(() => app.rows('ALTER TABLE renamed_images RENAME TO images'));
    expectSameOutcome({
      ...{ code: 'INTERNAL_SERVER_ERROR', status: 500, isInOperation: true },
      attempts: recorded({
        ...operation({ query: `{ image(id: "${newId()}") { id } }` }),
        images: () => errorOf(app, imagePath),
        ...flux({ action: 'retrieve_batch', ids: [] }),
      }),
    });
  });

  test('is masked with an ID that a log line has, next to the cause', () => {
    const masked = outcomes.filter(({ closeCode }) => closeCode === undefined);
    expect(masked.length).toBeGreaterThanOrEqual(9);
    for (const { message } of masked) {
      const [, id = 'none'] =
        /^Internal server error\. Quote the error ID (\S+) to the operator, whose log has the cause\.$/.exec(
          message,
        ) ?? [];
      const line = app.logLines.find((text) => text.includes(`"errorId":"${id}"`));
      expect(line).toMatch(/renamed|relation|does not exist/i);
    }
  });
});

describe('an unavailable database', () => {
  let key: string;
  let upload: string;
  beforeAll(async () => {
    // A new key, because a cached one would be accepted without PostgreSQL.
    key = await addWorkspaceWithKey(app);
    upload = await uploadPath();
    await proxy.cut();
  });
  afterAll(async () => {
    await proxy.restore();
    await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200);
  });
  expectSameOutcome({
    ...{ code: 'DATABASE_UNAVAILABLE', status: 503, retryAfter: RETRY_SECONDS, closeCode: 1013 },
    attempts: {
      ...operation(VIEWER, () => key),
      '/usage.csv': () => errorOf(app, USAGE, { headers: bearer(key) }),
      '/events': () => errorOf(app, '/events', { headers: bearer(key) }),
      images: () => errorOf(app, imagePath),
      uploads: () => put(upload, 'any bytes'),
      // Callbacks are kept on the disk: see callbacks-during-outage.test.ts.
      ...flux(ANY_TASK, () => bearer(key)),
    },
  });
});
