import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { newApiKey } from '../../../src/core/access/api-key.js';
import { ApiKeys } from '../../../src/db/access/api-key-repository.js';
import { openStream } from '../../support/events/streams.js';
import { TestApp } from '../../support/app/test-app.js';
import { answerOf } from '../../support/app/graphql-request.js';
import { addWorkspace } from '../../support/access/workspaces.js';
import { VIEWER, type ViewerView } from '../../support/access/access-operations.js';
import { hostileKeys, hostileTokens } from '../../support/access/forged-credentials.js';
import { claimsOf, SECRET_KEY, signing } from '../../support/access/client-tokens.js';

let app: TestApp;
let tokens: [string, string][];
let good: string;
beforeAll(async () => {
  app = await TestApp.start({ environment: { SECRET_KEY } });
  const foreign = await answerOf<ViewerView>(app, VIEWER, {}, await addWorkspace(app));
  const claims = await claimsOf(app, { endUserId: 'anna' });
  good = await signing.sign(claims);
  const { keyId: foreignKeyId, workspaceId: foreignWorkspaceId } = foreign;
  tokens = hostileTokens({ claims, token: good, foreignKeyId, foreignWorkspaceId });
});
afterAll(() => app.stop());

const ask = async (authorization: string) =>
  app.send('/graphql', { query: VIEWER }, authorization === '' ? {} : { authorization });
/** Status and body, without what differs from request to request. */
const answerTo = async (authorization: string) => {
  const { status, json } = await ask(authorization);
  return { status, json };
};

/** Sends headers as they are, also several of one name. */
function askRaw(headers: string[]): Promise<number> {
  const { hostname, port } = new URL(app.url);
  const body = JSON.stringify({ query: VIEWER });
  return new Promise((resolve, reject) => {
    const all = ['host', 'x', 'content-type', 'application/json', 'content-length', String(body.length)];
    const options = { hostname, port, path: '/graphql', method: 'POST', headers: [...all, ...headers] };
    const asked = request(options, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    asked.on('error', reject);
    asked.end(body);
  });
}

test('the good token that the hostile ones are made of passes, over HTTP and WebSocket', async () => {
  expect(await answerTo(`Bearer ${good}`)).toMatchObject({ status: 200, json: { data: { viewer: {} } } });
  const stream = openStream({ url: app.url, key: good, transport: 'websocket', target: { taskId: 'x' } });
  expect(await stream.ended).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
});

describe('none passes of', () => {
  test('more than fifty hostile tokens, and they are all told the same', async () => {
    expect(tokens.length).toBeGreaterThan(50);
    const refusal = await answerTo(`Bearer ${newApiKey()}`);
    expect(refusal.status).toBe(401);
    const passed: string[] = [];
    for (const [name, token] of tokens) {
      const answer = await answerTo(`Bearer ${token}`);
      if (JSON.stringify(answer) !== JSON.stringify(refusal)) passed.push(name);
    }
    expect(passed).toEqual([]);
  });

  test('the same tokens over WebSocket', async () => {
    const passed: string[] = [];
    for (const [name, key] of tokens) {
      const { code } = await openStream({ url: app.url, key, transport: 'websocket', target: {} }).ended;
      if (code !== 4403) passed.push(name);
    }
    expect(passed).toEqual([]);
  });

  test('hostile keys, without a query for one that is malformed', async () => {
    const looked = jest.spyOn(ApiKeys.prototype, 'findByHash');
    const passed: string[] = [];
    for (const [name, key] of hostileKeys(app.key)) {
      if ((await ask(`Bearer ${key}`)).status !== 401) passed.push(name);
    }
    expect(passed).toEqual([]);
    expect(looked).not.toHaveBeenCalled();
    looked.mockRestore();
  });

  test('other ways to send a key', async () => {
    const passed: string[] = [];
    for (const scheme of ['', 'Basic ', 'Token ', 'Bearer', 'Bearer\t', 'Bearer x ', 'Bearer Bearer ']) {
      const { status } = await ask(`${scheme}${app.key}`);
      if (status !== 401) passed.push(scheme);
    }
    expect(passed).toEqual([]);
    const twice = [`Bearer ${app.key}`, `Bearer ${newApiKey()}`];
    expect(await askRaw(['authorization', twice.join(', ')])).toBe(401);
    expect((await app.send(`/graphql?access_token=${app.key}`, { query: VIEWER })).status).toBe(401);
  });
});

test('the scheme is read in any case, and of two headers the first counts, as Node has it', async () => {
  for (const scheme of ['bearer', 'BEARER', 'BeArEr'])
    expect((await ask(`${scheme} ${app.key}`)).status).toBe(200);
  const wrong = `Bearer ${newApiKey()}`;
  expect(await askRaw(['Authorization', wrong, 'authorization', `Bearer ${app.key}`])).toBe(401);
  expect(await askRaw(['AUTHORIZATION', `Bearer ${app.key}`])).toBe(200);
});

test('what was refused is in no line of the log', async () => {
  const [, token = ''] = tokens[0] ?? [];
  await ask(`Bearer ${token}`);
  await app.get(`/events?types=none&access_token=${good}`);
  const log = app.logged.join('\n');
  expect(log).not.toContain(token.slice(0, 60));
  expect(log).not.toContain(good.split('.')[2]);
});

test('a key that nobody has and one of another workspace take as long, within what a machine can tell', async () => {
  const foreign = await addWorkspace(app, []);
  const medianOf = async (authorization: () => string, query: string) => {
    const times: number[] = [];
    for (let round = 0; round < 40; round += 1) {
      const since = performance.now();
      await app.send('/graphql', { query }, { authorization: authorization() });
      times.push(performance.now() - since);
    }
    return times.sort((one, other) => one - other)[20] ?? 0;
  };
  const unknown = await medianOf(() => `Bearer ${newApiKey()}`, VIEWER);
  const revoked = await addWorkspace(app);
  await app.rows('UPDATE api_keys SET revoked_at = now() WHERE prefix = $1', [revoked.slice(0, 9)]);
  const dead = await medianOf(() => `Bearer ${revoked}`, VIEWER);
  const known = await medianOf(() => `Bearer ${foreign}`, '{ viewer { keyId } }');
  for (const time of [dead, known]) expect(Math.abs(time - unknown)).toBeLessThan(50);
});
