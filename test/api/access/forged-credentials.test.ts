import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { generateApiKey } from '../../../src/core/access/api-key.js';
import { ApiKeyRepository } from '../../../src/db/access/api-key-repository.js';
import { openSubscriptionStream } from '../../support/events/streams.js';
import { TestApp } from '../../support/app/test-app.js';
import { queryField } from '../../support/app/graphql-request.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';
import { VIEWER, type ViewerFields } from '../../support/access/access-operations.js';
import { malformedKeys, forgedTokens } from '../../support/access/forged-credentials.js';
import { buildClaims, SECRET_KEY, tokenSigning } from '../../support/access/client-tokens.js';

let app: TestApp;
let forged: [string, string][];
let validToken: string;
beforeAll(async () => {
  app = await TestApp.start({ environment: { SECRET_KEY } });
  const foreign = await queryField<ViewerFields>(app, VIEWER, {}, await addWorkspaceWithKey(app));
  const claims = await buildClaims(app, { endUserId: 'anna' });
  validToken = await tokenSigning.sign(claims);
  const { keyId: foreignKeyId, workspaceId: foreignWorkspaceId } = foreign;
  forged = forgedTokens({ claims, token: validToken, foreignKeyId, foreignWorkspaceId });
});
afterAll(() => app.stop());

const send = async (authorization: string) =>
  app.postBody('/graphql', { query: VIEWER }, authorization === '' ? {} : { authorization });
/** The status and the body, without headers that differ between requests. */
const responseTo = async (authorization: string) => {
  const { status, json } = await send(authorization);
  return { status, json };
};

/** Sends the headers as given, including repeated names, and returns the status. */
function sendRaw(headers: string[]): Promise<number> {
  const { hostname, port } = new URL(app.url);
  const body = JSON.stringify({ query: VIEWER });
  return new Promise((resolve, reject) => {
    const defaults = ['host', 'x', 'content-type', 'application/json', 'content-length', String(body.length)];
    const options = { hostname, port, path: '/graphql', method: 'POST', headers: [...defaults, ...headers] };
    const outgoing = request(options, (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

test('the valid token that the forged ones are derived from is accepted over HTTP and WebSocket', async () => {
  expect(await responseTo(`Bearer ${validToken}`)).toMatchObject({
    status: 200,
    json: { data: { viewer: {} } },
  });
  const stream = openSubscriptionStream({
    url: app.url,
    key: validToken,
    transport: 'websocket',
    target: { taskId: 'x' },
  });
  expect(await stream.ended).toMatchObject({ errors: [{ extensions: { code: 'NOT_FOUND' } }] });
});

describe('forged credentials', () => {
  test('more than 50 forged tokens are refused with the same response as an unknown key', async () => {
    expect(forged.length).toBeGreaterThan(50);
    const refusal = await responseTo(`Bearer ${generateApiKey()}`);
    expect(refusal.status).toBe(401);
    const accepted: string[] = [];
    for (const [name, token] of forged) {
      const response = await responseTo(`Bearer ${token}`);
      if (JSON.stringify(response) !== JSON.stringify(refusal)) accepted.push(name);
    }
    expect(accepted).toEqual([]);
  });

  test('the forged tokens are refused over WebSocket', async () => {
    const accepted: string[] = [];
    for (const [name, key] of forged) {
      const { code } = await openSubscriptionStream({ url: app.url, key, transport: 'websocket', target: {} })
        .ended;
      if (code !== 4403) accepted.push(name);
    }
    expect(accepted).toEqual([]);
  });

  test('malformed keys are refused without a database query', async () => {
    const findByHash = jest.spyOn(ApiKeyRepository.prototype, 'findByHash');
    const accepted: string[] = [];
    for (const [name, key] of malformedKeys(app.apiKey)) {
      if ((await send(`Bearer ${key}`)).status !== 401) accepted.push(name);
    }
    expect(accepted).toEqual([]);
    expect(findByHash).not.toHaveBeenCalled();
    findByHash.mockRestore();
  });

  test('a valid key is refused with another scheme, in a list, or in the query string', async () => {
    const accepted: string[] = [];
    for (const scheme of ['', 'Basic ', 'Token ', 'Bearer', 'Bearer\t', 'Bearer x ', 'Bearer Bearer ']) {
      const { status } = await send(`${scheme}${app.apiKey}`);
      if (status !== 401) accepted.push(scheme);
    }
    expect(accepted).toEqual([]);
    const twice = [`Bearer ${app.apiKey}`, `Bearer ${generateApiKey()}`];
    expect(await sendRaw(['authorization', twice.join(', ')])).toBe(401);
    expect((await app.postBody(`/graphql?access_token=${app.apiKey}`, { query: VIEWER })).status).toBe(401);
  });
});

test('the scheme is case-insensitive, and the first of two authorization headers counts', async () => {
  for (const scheme of ['bearer', 'BEARER', 'BeArEr'])
    expect((await send(`${scheme} ${app.apiKey}`)).status).toBe(200);
  const wrong = `Bearer ${generateApiKey()}`;
  expect(await sendRaw(['Authorization', wrong, 'authorization', `Bearer ${app.apiKey}`])).toBe(401);
  expect(await sendRaw(['AUTHORIZATION', `Bearer ${app.apiKey}`])).toBe(200);
});

test('refused credentials never appear in the log', async () => {
  const [, token = ''] = forged[0] ?? [];
  await send(`Bearer ${token}`);
  await app.get(`/events?types=none&access_token=${validToken}`);
  const log = app.logLines.join('\n');
  expect(log).not.toContain(token.slice(0, 60));
  expect(log).not.toContain(validToken.split('.')[2]);
});

test('unknown, revoked and foreign keys take equally long to answer', async () => {
  const foreign = await addWorkspaceWithKey(app, []);
  const revoked = await addWorkspaceWithKey(app);
  await app.rows('UPDATE api_keys SET revoked_at = now() WHERE prefix = $1', [revoked.slice(0, 9)]);
  const timeOf = async (key: string, query: string) => {
    const since = performance.now();
    await app.postBody('/graphql', { query }, { authorization: `Bearer ${key}` });
    return performance.now() - since;
  };
  // In turns, so that other work of the machine delays all of them.
  const differences: Record<'revoked' | 'foreign', number[]> = { revoked: [], foreign: [] };
  for (let round = 0; round < 40; round += 1) {
    const unknownMs = await timeOf(generateApiKey(), VIEWER);
    differences.revoked.push((await timeOf(revoked, VIEWER)) - unknownMs);
    differences.foreign.push((await timeOf(foreign, '{ viewer { keyId } }')) - unknownMs);
  }
  for (const each of Object.values(differences)) {
    const median = each.sort((one, other) => one - other)[20] ?? NaN;
    expect(Math.abs(median)).toBeLessThan(50);
  }
});
