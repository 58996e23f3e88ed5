import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GenerateImagesDocument, ViewerDocument } from '../../../clients/operations.js';
import { CLIENT_TOKEN_SCOPES, SCOPES } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { createClientToken, SECRET_KEY } from '../../support/access/client-tokens.js';
import { RawWebSocket } from '../../support/events/raw-websocket.js';
import { type HttpResponse, TestApp } from '../../support/app/test-app.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';

const IN_FLIGHT = 10;
const RATE_LIMIT = '{ rateLimit { limit cost remaining resetAt } }';
/** Long enough that no window ends during a test. */
const tuning = { rateLimitWindowMs: 24 * 3_600_000 };
const environment = {
  ROLES: 'api',
  LIMITS_PER_KEY: 'requestsPerMinute=4,connections=1',
  OPERATIONS_PER_REQUEST: '4',
};

let app: TestApp;
let workspaceId: string;
beforeAll(async () => {
  app = await TestApp.start({ environment, tuning });
  workspaceId = (await app.query(ViewerDocument, {})).viewer.workspaceId;
});
afterAll(() => app.stop());

const newKey = () => addKey(app, workspaceId, SCOPES);
const send = (key: string, body: object, path = '/graphql', instance = app) =>
  instance.postBody(path, body, { authorization: `Bearer ${key}` });
/** Sends `count` requests in sequence. The default uses up the limit. */
const sendRequests = async (key: string, count = 4): Promise<HttpResponse[]> => {
  const responses = [];
  for (let n = 0; n < count; n += 1) responses.push(await send(key, { query: RATE_LIMIT }));
  return responses;
};
const LIMITED = [{ extensions: { code: 'RATE_LIMITED' } }];

describe('request rate limits', () => {
  test('headers and rateLimit report the remaining requests, and further requests get 429 with Retry-After', async () => {
    const key = await newKey();
    const responses = await sendRequests(key);
    expect(responses.map(({ json }) => json)).toEqual(
      [3, 2, 1, 0].map((remaining) => ({
        data: { rateLimit: { limit: 4, cost: 1, remaining, resetAt: expect.any(String) } },
      })),
    );
    expect(responses[0]?.headers['ratelimit']).toMatch(/^"requests";r=3;t=\d+$/);
    expect(responses[0]?.headers['ratelimit-policy']).toBe('"requests";q=4;w=86400');
    const refused = await send(key, { query: RATE_LIMIT });
    expect(refused.status).toBe(429);
    const { errors } = refused.json as {
      errors: { message: string; extensions: { retryAfterMs: number } }[];
    };
    expect(errors).toMatchObject(LIMITED);
    expect(errors[0]?.message).toMatch(
      /^This API key has reached its limit of 4 requests per minute\. Try again in \d+ s\.$/,
    );
    const seconds = Number(refused.headers['retry-after']);
    expect(seconds).toBe(Math.ceil((errors[0]?.extensions.retryAfterMs ?? 0) / 1_000));
    expect(refused.headers['access-control-expose-headers']).toContain('Retry-After');
    expect((await send(await newKey(), { query: RATE_LIMIT })).status).toBe(200);
  });

  test('WebSocket, /graphql/stream, /events and /usage.csv share one limit and refuse requests over it', async () => {
    const key = await newKey();
    await sendRequests(key, 2);
    const socket = await RawWebSocket.openAcknowledged(app.url, key);
    socket.send({ type: 'subscribe', id: '1', payload: { query: RATE_LIMIT } });
    const { payload } = await socket.waitForMessage('next', '1');
    expect(payload).toMatchObject({ data: { rateLimit: { remaining: 1 } } });
    socket.send({ type: 'subscribe', id: '2', payload: { query: RATE_LIMIT } });
    await socket.waitForMessage('next', '2');
    socket.send({ type: 'subscribe', id: '3', payload: { query: RATE_LIMIT } });
    const refused = await socket.waitForMessage('error', '3');
    expect(refused.payload).toMatchObject([{ extensions: { retryAfterMs: expect.any(Number) as unknown } }]);
    expect(refused.payload).toMatchObject(LIMITED);
    socket.cut();

    const stream = await send(key, { query: RATE_LIMIT }, '/graphql/stream');
    expect([stream.status, stream.json]).toMatchObject([429, { errors: LIMITED }]);
    expect(Number(stream.headers['retry-after'])).toBeGreaterThan(0);
    const csv = await app.get('/usage.csv', { authorization: `Bearer ${key}` });
    expect([csv.status, csv.json]).toMatchObject([429, { error: { code: 'RATE_LIMITED' } }]);
    const plain = await app.get('/events', { authorization: `Bearer ${key}` });
    expect([plain.status, plain.json]).toMatchObject([429, { error: { code: 'RATE_LIMITED' } }]);
    expect(Number(plain.headers['retry-after'])).toBeGreaterThan(0);
  });

  test('a document over a query limit counts, and is not looked at over the rate limit', async () => {
    const key = await newKey();
    const query = `{ ${Array.from({ length: 2_000 }, (_, n) => `a${n}: viewer { keyName }`).join(' ')} }`;
    const first = await send(key, { query });
    expect(first.json).toMatchObject({ errors: [{ extensions: { code: 'QUERY_TOO_COMPLEX' } }] });
    expect(first.headers['ratelimit']).toMatch(/^"requests";r=3;/);
    await sendRequests(key, 3);
    expect((await send(key, { query })).json).toMatchObject({ errors: LIMITED });
  });

  test('a body that is no JSON counts, and is not read over the rate limit', async () => {
    const key = await newKey();
    const sendBroken = () =>
      app.http
        .post('/graphql')
        .set({ authorization: `Bearer ${key}`, 'content-type': 'application/json' })
        .send('{"query":');
    expect((await sendBroken()).status).toBe(400);
    await sendRequests(key, 3);
    expect((await sendBroken()).body).toMatchObject({ errors: LIMITED });
  });

  test('each operation of a batch counts, and one over the limit is refused as a whole and counts once', async () => {
    const key = await newKey();
    const batch = Array.from({ length: 3 }, () => ({ query: RATE_LIMIT }));
    const passed = await send(key, batch);
    expect(passed.json).toMatchObject(
      [1, 2, 3].map(() => ({ data: { rateLimit: { cost: 3, remaining: 1 } } })),
    );
    expect((await send(key, batch)).status).toBe(429);
    // It was read.
    expect((await send(key, { query: RATE_LIMIT })).status).toBe(429);
  });
});

test('a connection over the limit of the key is refused', async () => {
  const key = await newKey();
  const first = await RawWebSocket.openAcknowledged(app.url, key);
  const second = await RawWebSocket.open(app.url);
  second.sendConnectionInit(key);
  await expect(second.closed).resolves.toMatchObject({ code: 1013 });
  first.cut();
});

describe('generation limits', () => {
  let one: TestApp;
  let other: TestApp;
  const limited = {
    ROLES: 'api',
    SECRET_KEY,
    LIMITS_PER_KEY: `generationsPerMinute=40,generationsInFlight=${IN_FLIGHT}`,
    LIMITS_PER_WORKSPACE: `generationsInFlight=${2 * IN_FLIGHT}`,
    LIMITS_PER_END_USER: `generationsInFlight=${IN_FLIGHT / 2}`,
  };
  beforeAll(async () => {
    one = await TestApp.start({ environment: limited, tuning });
    const { databaseUrl, apiKey: key } = one;
    other = await TestApp.start({ databaseUrl, apiKey: key, environment: limited, tuning });
  });
  afterAll(async () => {
    await other.stop();
    await one.stop();
  });

  const generate = (instance: TestApp, key: string, input: { prompt: string; idempotencyKey?: string }) =>
    instance.execute(GenerateImagesDocument, { input }, key);
  /** Sends `count` requests to both instances at once. Returns the IDs of the accepted tasks. */
  const generateConcurrently = async (key: string, count: number): Promise<string[]> => {
    const results = await Promise.all(
      Array.from({ length: count }, (_, index) =>
        generate(index % 2 ? one : other, key, { prompt: `p${index}` }),
      ),
    );
    const refused = results.flatMap(({ errors }) => errors ?? []);
    for (const { extensions } of refused) expect(extensions?.['code']).toBe('RATE_LIMITED');
    return results.flatMap(({ data }) => data?.generateImages.task?.id ?? []);
  };

  test('concurrent requests to two instances start exactly as many tasks as allowed, and each finished task admits one more', async () => {
    const key = await addWorkspaceWithKey(one);
    const ids = await generateConcurrently(key, 36);
    expect(ids).toHaveLength(IN_FLIGHT);
    const cancel = { query: `mutation { cancelTask(input: { id: "${ids[0]}" }) { outcome } }` };
    await one.postBody('/graphql', cancel, { authorization: `Bearer ${key}` });
    expect(await generateConcurrently(key, 6)).toHaveLength(1);
  });

  test('the limit of tasks in flight applies to a key and to its workspace', async () => {
    const first = await addWorkspaceWithKey(one);
    const { viewer } = await one.query(ViewerDocument, {}, first);
    const [second, third] = [
      await addKey(one, viewer.workspaceId, SCOPES),
      await addKey(one, viewer.workspaceId, SCOPES),
    ];
    expect(await generateConcurrently(first, 12)).toHaveLength(IN_FLIGHT);
    expect(await generateConcurrently(second, 5)).toHaveLength(5);
    expect(await generateConcurrently(third, 12)).toHaveLength(IN_FLIGHT - 5);
    const { errors } = await generate(one, third, { prompt: 'one more' });
    expect(errors?.[0]?.message).toBe(
      'This workspace has reached its limit of 20 tasks in flight. Wait until one of them finishes.',
    );
  });

  test('the message names whose limit of tasks in flight is used up: the token or its end user', async () => {
    const newToken = async (generationsInFlight: number) =>
      (
        await createClientToken(one, {
          endUserId: 'bob',
          scopes: CLIENT_TOKEN_SCOPES,
          limits: { generationsInFlight },
        })
      ).token;
    const messageOf = async (token: string) =>
      (await generate(one, token, { prompt: 'one more' })).errors?.[0]?.message;
    const [narrow, wide] = [await newToken(2), await newToken(500)];
    expect(await generateConcurrently(narrow, 5)).toHaveLength(2);
    expect(await messageOf(narrow)).toMatch(/^This client token has reached its limit of 2 tasks/);
    expect(await generateConcurrently(wide, IN_FLIGHT)).toHaveLength(3);
    expect(await messageOf(wide)).toMatch(/^This end user has reached its limit of 5 tasks/);
  });

  test('replays of an idempotency key and invalid inputs do not count toward generations per minute', async () => {
    const key = await addWorkspaceWithKey(one);
    const input = { prompt: 'once', idempotencyKey: newId() };
    const outcomes = [];
    for (let n = 0; n < 60; n += 1) {
      const { data, errors } = await generate(one, key, input);
      outcomes.push(errors?.[0]?.extensions?.['code'] ?? data?.generateImages.task?.id);
    }
    expect(new Set(outcomes).size).toBe(1);
    for (let n = 0; n < 60; n += 1) {
      const { data } = await generate(one, key, { prompt: '' });
      expect(data?.generateImages.userErrors).toHaveLength(1);
    }
    const leases = await one.rows('SELECT task_id FROM in_flight_leases WHERE workspace_id = $1', [
      (await one.query(ViewerDocument, {}, key)).viewer.workspaceId,
    ]);
    expect(leases.length).toBeLessThanOrEqual(1);
    expect(await generateConcurrently(key, 20)).toHaveLength(IN_FLIGHT - 1);
  });
});

describe('idempotency keys at a limit', () => {
  const messages: Record<string, string> = {
    generationsPerMinute: 'This API key has reached its limit of 1 generations per minute',
    generationsInFlight: 'This API key has reached its limit of 1 tasks in flight',
  };

  test.each(Object.keys(messages))(
    'at the limit %s a replay returns its task, and another input is a conflict',
    async (name) => {
      const { workspaceId: own } = (await app.query(ViewerDocument, {}, await addWorkspaceWithKey(app)))
        .viewer;
      const key = await addKey(app, own, SCOPES, { requestsPerMinute: 100, [name]: 1 });
      const generate = (input: { prompt: string; idempotencyKey?: string; webhookUrl?: string }) =>
        app.execute(GenerateImagesDocument, { input }, key);
      const input = { prompt: 'once', idempotencyKey: newId() };
      const privateUrl = { prompt: 'private', webhookUrl: 'http://10.0.0.1/' };
      const invalid = await generate(privateUrl);
      expect(invalid.data?.generateImages.userErrors).toMatchObject([{ code: 'INVALID_WEBHOOK_URL' }]);
      const first = (await generate(input)).data?.generateImages.task?.id;
      // The limit comes first, so that no more host names are looked up.
      expect((await generate(privateUrl)).errors?.[0]?.message).toContain(messages[name]);
      const refused = await generate({ prompt: 'another', idempotencyKey: newId() });
      expect(refused.errors?.[0]?.message).toContain(messages[name]);
      const replay = await generate(input);
      expect(replay.data?.generateImages).toMatchObject({ replayed: true, task: { id: first } });
      const conflict = await generate({ ...input, prompt: 'other' });
      expect(conflict.data?.generateImages.userErrors).toMatchObject([{ code: 'IDEMPOTENCY_CONFLICT' }]);

      // The REST API follows the same rules. Without `async` it would wait for the images.
      const body = { action: 'generate', prompt: 'once', async: true };
      const headers = { authorization: `Bearer ${key}`, 'idempotency-key': input.idempotencyKey };
      const overRest = await app.postBody('/flux/images', body, headers);
      expect([overRest.status, overRest.json]).toMatchObject([200, { task_id: first }]);
      const refusedOverRest = await app.postBody('/flux/images', body, {
        ...headers,
        'idempotency-key': newId(),
      });
      expect(refusedOverRest.status).toBe(429);
      await expect(app.rows('SELECT FROM tasks WHERE workspace_id = $1', [own])).resolves.toHaveLength(1);
    },
  );
});

test('without configured limits a key has no rateLimit and no headers, while an end user has the default limit', async () => {
  const unlimited = await TestApp.start({ environment: { ROLES: 'api' } });
  try {
    const body = { query: RATE_LIMIT };
    const { json, headers } = await unlimited.postBody('/graphql', body, {
      authorization: `Bearer ${unlimited.apiKey}`,
    });
    expect(json).toEqual({ data: { rateLimit: null } });
    expect(Object.keys(headers).filter((name) => /^ratelimit/.test(name))).toEqual([]);
    const { token } = await createClientToken(unlimited, { endUserId: 'ann' });
    const endUserResponse = await send(token, { query: RATE_LIMIT }, '/graphql', unlimited);
    expect(endUserResponse.json).toMatchObject({ data: { rateLimit: { limit: 600, remaining: 599 } } });
  } finally {
    await unlimited.stop();
  }
});
