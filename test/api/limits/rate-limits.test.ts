import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GenerateImagesDocument, ViewerDocument } from '../../../clients/operations.js';
import { SCOPES } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { createToken } from '../../support/access/client-tokens.js';
import { RawSocket } from '../../support/events/raw-websocket.js';
import { type Answer, TestApp } from '../../support/app/test-app.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';

const IN_FLIGHT = 10;
const RATE = '{ rateLimit { limit cost remaining resetAt } }';
/** No window ends during a test. */
const tuning = { limitWindowMs: 24 * 3_600_000 };
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
const send = (key: string, body: object, path = '/graphql', on = app) =>
  on.send(path, body, { authorization: `Bearer ${key}` });
const useUp = async (key: string, count = 4): Promise<Answer[]> => {
  const answers = [];
  for (let time = 0; time < count; time += 1) answers.push(await send(key, { query: RATE }));
  return answers;
};
const LIMITED = [{ extensions: { code: 'RATE_LIMITED' } }];

describe('requests over the limit', () => {
  test('are refused with 429, the time to wait, and headers; until then headers and rateLimit say how it stands', async () => {
    const key = await newKey();
    const answers = await useUp(key);
    expect(answers.map(({ json }) => json)).toEqual(
      [3, 2, 1, 0].map((remaining) => ({
        data: { rateLimit: { limit: 4, cost: 1, remaining, resetAt: expect.any(String) } },
      })),
    );
    expect(answers[0]?.headers['ratelimit']).toMatch(/^"requests";r=3;t=\d+$/);
    expect(answers[0]?.headers['ratelimit-policy']).toBe('"requests";q=4;w=86400');
    const refused = await send(key, { query: RATE });
    expect(refused.status).toBe(429);
    const { errors } = refused.json as {
      errors: { message: string; extensions: { retryAfterMs: number } }[];
    };
    expect(errors).toMatchObject(LIMITED);
    expect(errors[0]?.message).toMatch(
      /^This key may make 4 requests a minute, and has\. Try again in \d+ s\.$/,
    );
    const seconds = Number(refused.headers['retry-after']);
    expect(seconds).toBe(Math.ceil((errors[0]?.extensions.retryAfterMs ?? 0) / 1_000));
    expect(refused.headers['access-control-expose-headers']).toContain('Retry-After');
    expect((await send(await newKey(), { query: RATE })).status).toBe(200);
  });

  test('are counted together and refused over WebSocket, /graphql/stream, /events and /usage.csv too', async () => {
    const key = await newKey();
    await useUp(key, 2);
    const socket = await RawSocket.ready(app.url, key);
    socket.send({ type: 'subscribe', id: '1', payload: { query: RATE } });
    const { payload } = await socket.message('next', '1');
    expect(payload).toMatchObject({ data: { rateLimit: { remaining: 1 } } });
    socket.send({ type: 'subscribe', id: '2', payload: { query: RATE } });
    await socket.message('next', '2');
    socket.send({ type: 'subscribe', id: '3', payload: { query: RATE } });
    const refused = await socket.message('error', '3');
    expect(refused.payload).toMatchObject([{ extensions: { retryAfterMs: expect.any(Number) as unknown } }]);
    expect(refused.payload).toMatchObject(LIMITED);
    socket.cut();

    const stream = await send(key, { query: RATE }, '/graphql/stream');
    expect([stream.status, stream.json]).toMatchObject([429, { errors: LIMITED }]);
    expect(Number(stream.headers['retry-after'])).toBeGreaterThan(0);
    const csv = await app.get('/usage.csv', { authorization: `Bearer ${key}` });
    expect([csv.status, csv.json]).toMatchObject([429, { error: { code: 'RATE_LIMITED' } }]);
    const plain = await app.get('/events', { authorization: `Bearer ${key}` });
    expect([plain.status, plain.json]).toMatchObject([429, { error: { code: 'RATE_LIMITED' } }]);
    expect(Number(plain.headers['retry-after'])).toBeGreaterThan(0);
  });

  test('count each operation of a batch, which is refused as a whole', async () => {
    const key = await newKey();
    const batch = Array.from({ length: 3 }, () => ({ query: RATE }));
    const passed = await send(key, batch);
    expect(passed.json).toMatchObject(
      [1, 2, 3].map(() => ({ data: { rateLimit: { cost: 3, remaining: 1 } } })),
    );
    expect((await send(key, batch)).status).toBe(429);
    expect((await send(key, { query: RATE })).status).toBe(200);
  });
});

test('one connection more than the key may have is refused', async () => {
  const key = await newKey();
  const first = await RawSocket.ready(app.url, key);
  const second = await RawSocket.open(app.url);
  second.initialise(key);
  await expect(second.closed).resolves.toMatchObject({ code: 1013 });
  first.cut();
});

describe('generations', () => {
  let one: TestApp;
  let other: TestApp;
  const limited = {
    ROLES: 'api',
    LIMITS_PER_KEY: `generationsPerMinute=40,generationsInFlight=${IN_FLIGHT}`,
    LIMITS_PER_WORKSPACE: `generationsInFlight=${2 * IN_FLIGHT}`,
  };
  beforeAll(async () => {
    one = await TestApp.start({ environment: limited, tuning });
    const { databaseUrl, key } = one;
    other = await TestApp.start({ databaseUrl, key, environment: limited, tuning });
  });
  afterAll(async () => {
    await other.stop();
    await one.stop();
  });

  const ask = (on: TestApp, key: string, input: { prompt: string; idempotencyKey?: string }) =>
    on.post(GenerateImagesDocument, { input }, key);
  const askAtOnce = async (key: string, count: number): Promise<string[]> => {
    const answers = await Promise.all(
      Array.from({ length: count }, (_, index) => ask(index % 2 ? one : other, key, { prompt: `p${index}` })),
    );
    const refused = answers.flatMap(({ errors }) => errors ?? []);
    for (const { extensions } of refused) expect(extensions?.['code']).toBe('RATE_LIMITED');
    return answers.flatMap(({ data }) => data?.generateImages.task?.id ?? []);
  };

  test('in flight are exactly as many as are allowed, asked for at once on two instances; each that ends makes room for one', async () => {
    const key = await addWorkspace(one);
    const ids = await askAtOnce(key, 36);
    expect(ids).toHaveLength(IN_FLIGHT);
    const cancel = { query: `mutation { cancelTask(input: { id: "${ids[0]}" }) { outcome } }` };
    await one.send('/graphql', cancel, { authorization: `Bearer ${key}` });
    expect(await askAtOnce(key, 6)).toHaveLength(1);
  });

  test('in flight are limited for a key and for its workspace', async () => {
    const first = await addWorkspace(one);
    const { viewer } = await one.query(ViewerDocument, {}, first);
    const [second, third] = [
      await addKey(one, viewer.workspaceId, SCOPES),
      await addKey(one, viewer.workspaceId, SCOPES),
    ];
    expect(await askAtOnce(first, 12)).toHaveLength(IN_FLIGHT);
    expect(await askAtOnce(second, 5)).toHaveLength(5);
    expect(await askAtOnce(third, 12)).toHaveLength(IN_FLIGHT - 5);
    const { errors } = await ask(one, third, { prompt: 'one more' });
    expect(errors?.[0]?.message).toBe(
      'This workspace may have 20 tasks in flight, and has. Wait until one has ended.',
    );
  });

  test('in a minute are limited; one that is repeated by its idempotency key, or refused for its input, is not counted', async () => {
    const key = await addWorkspace(one);
    const input = { prompt: 'once', idempotencyKey: newId() };
    const codes = [];
    for (let time = 0; time < 60; time += 1) {
      const { data, errors } = await ask(one, key, input);
      codes.push(errors?.[0]?.extensions?.['code'] ?? data?.generateImages.task?.id);
    }
    expect(new Set(codes).size).toBe(1);
    for (let time = 0; time < 60; time += 1) {
      const { data } = await ask(one, key, { prompt: '' });
      expect(data?.generateImages.userErrors).toHaveLength(1);
    }
    const held = await one.rows('SELECT task_id FROM flight_holds WHERE workspace_id = $1', [
      (await one.query(ViewerDocument, {}, key)).viewer.workspaceId,
    ]);
    expect(held.length).toBeLessThanOrEqual(1);
    expect(await askAtOnce(key, 20)).toHaveLength(IN_FLIGHT - 1);
  });
});

describe('a repetition with the same idempotency key, at a limit', () => {
  const limited: Record<string, string> = {
    generationsPerMinute: 'This key may make 1 generations a minute',
    generationsInFlight: 'This key may have 1 tasks in flight',
  };

  test.each(Object.keys(limited))('of %s is its task, and another input is a conflict', async (name) => {
    const { workspaceId: own } = (await app.query(ViewerDocument, {}, await addWorkspace(app))).viewer;
    const key = await addKey(app, own, SCOPES, { requestsPerMinute: 100, [name]: 1 });
    const ask = (input: { prompt: string; idempotencyKey?: string; endUserId?: string }) =>
      app.post(GenerateImagesDocument, { input }, key);
    const input = { prompt: 'once', idempotencyKey: newId() };
    const first = (await ask(input)).data?.generateImages.task?.id;
    const fresh = await ask({ prompt: 'another', idempotencyKey: newId() });
    expect(fresh.errors?.[0]?.message).toContain(limited[name]);
    const again = await ask(input);
    expect(again.data?.generateImages).toMatchObject({ replayed: true, task: { id: first } });
    const other = await ask({ ...input, prompt: 'other' });
    expect(other.data?.generateImages.userErrors).toMatchObject([{ code: 'IDEMPOTENCY_CONFLICT' }]);

    // The REST door makes and repeats by the same rules; without `async` it would wait for the pictures.
    const order = { action: 'generate', prompt: 'once', async: true };
    const headers = { authorization: `Bearer ${key}`, 'idempotency-key': input.idempotencyKey };
    const overRest = await app.send('/flux/images', order, headers);
    expect([overRest.status, overRest.json]).toMatchObject([200, { task_id: first }]);
    const fresher = await app.send('/flux/images', order, { ...headers, 'idempotency-key': newId() });
    expect(fresher.status).toBe(429);
    await expect(app.rows('SELECT FROM tasks WHERE workspace_id = $1', [own])).resolves.toHaveLength(1);
  });
});

test('without limits rateLimit of a key is null, and no headers tell of any; an end user has some from the start', async () => {
  const free = await TestApp.start({ environment: { ROLES: 'api' } });
  try {
    const body = { query: RATE };
    const { json, headers } = await free.send('/graphql', body, { authorization: `Bearer ${free.key}` });
    expect(json).toEqual({ data: { rateLimit: null } });
    expect(Object.keys(headers).filter((name) => /^ratelimit/.test(name))).toEqual([]);
    const { token } = await createToken(free, { endUserId: 'ann' });
    const ofUser = await send(token, { query: RATE }, '/graphql', free);
    expect(ofUser.json).toMatchObject({ data: { rateLimit: { limit: 600, remaining: 599 } } });
  } finally {
    await free.stop();
  }
});
