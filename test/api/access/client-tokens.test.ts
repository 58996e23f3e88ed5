import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, jwtVerify } from 'jose';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { openStream, type Stream, TRANSPORTS } from '../../support/events/streams.js';
import { addTasks, firstWorkspace, writeEvent } from '../../support/events/event-rows.js';
import { TestApp } from '../../support/app/test-app.js';
import { answerOf, ask } from '../../support/app/graphql-request.js';
import { waitFor } from '../../support/wait-for.js';
import {
  AUDIT_LOG,
  type AuditView,
  CREATE_KEY,
  type MadeKey,
  type PageOf,
  REVOKE_KEY,
  ROTATE_KEY,
} from '../../support/access/access-operations.js';
import {
  claimsOf,
  CREATE_TOKEN,
  createToken,
  SECRET_KEY,
  signing,
} from '../../support/access/client-tokens.js';

/** What is promised for every instance. */
const WITHIN_MS = 5_000;
const VIEWER = '{ viewer { keyId keyName scopes endUserId taskIds expiresAt } }';

let app: TestApp;
let other: TestApp;
let sql: pg.Pool;
const open: Stream[] = [];
beforeAll(async () => {
  const environment = { SECRET_KEY };
  app = await TestApp.start({ environment });
  other = await TestApp.start({ environment, databaseUrl: app.databaseUrl, key: app.key });
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 4 });
});
afterEach(() => {
  for (const stream of open.splice(0)) stream.cut();
});
afterAll(async () => {
  await sql.end();
  await other.stop();
  await app.stop();
});

const keyWith = async (input: object) => {
  const made = { name: 'maker', scopes: ['tasks:read', 'tasks:write'], ...input };
  return answerOf<MadeKey>(app, CREATE_KEY, { input: made });
};
const statusWith = async (token: string, at = app) =>
  (await at.send('/graphql', { query: VIEWER }, { authorization: `Bearer ${token}` })).status;

describe('createClientToken', () => {
  test('gives a token that any instance takes, for what was asked, signed by a key that is published', async () => {
    const limits = { requestsPerMinute: 10 };
    const wish = { scopes: ['tasks:read', 'tasks:write'], endUserId: 'anna', expiresInSeconds: 120, limits };
    const { token, expiresAt } = await createToken(app, wish);
    expect(Math.abs(Date.parse(expiresAt) - Date.now() - 120_000)).toBeLessThan(10_000);
    const viewer = await answerOf(other, VIEWER, {}, token);
    expect(viewer).toMatchObject({ keyName: 'first key', scopes: ['tasks:read', 'tasks:write'] });
    expect(viewer).toMatchObject({ endUserId: 'anna', taskIds: null, expiresAt });

    const { json, headers } = await other.get('/.well-known/jwks.json');
    expect(headers['content-type']).toContain('application/jwk-set+json');
    const keys = createLocalJWKSet(json as JSONWebKeySet);
    const { payload } = await jwtVerify(token, keys, { issuer: 'darkroom', audience: 'darkroom' });
    expect(payload).toMatchObject({ sub: 'anna', end_user: 'anna', scope: 'tasks:read tasks:write', limits });
    expect(JSON.stringify(json)).not.toContain('"d"');
  });

  test('is told in the audit log, without the token', async () => {
    const { token } = await createToken(app, { endUserId: 'berta' });
    const filter = { actions: ['TOKEN_ISSUED'] };
    const { nodes } = await answerOf<PageOf<AuditView>>(app, AUDIT_LOG, { first: 1, filter });
    expect(nodes).toMatchObject([{ subject: decodeJwt(token).jti, data: { endUserId: 'berta' } }]);
    expect(JSON.stringify(nodes)).not.toContain(token.split('.')[2]);
  });

  test('gives nothing that the key does not have', async () => {
    const { secret } = await keyWith({ limits: { connections: 5 } });
    const wide = { scopes: ['tasks:read', 'images:write'], limits: { connections: 6 } };
    const refused = await createToken(app, wide, secret);
    expect(refused).toMatchObject({ token: null, expiresAt: null });
    expect(refused.userErrors.map(({ code }) => code)).toEqual(['SCOPE_NOT_HELD', 'INVALID_LIMITS']);
    expect(refused.userErrors[0]?.message).toContain('images:write');
  });

  test('gives no token longer than its key lives', async () => {
    const expiresAt = new Date(Date.now() + 30_000);
    const { secret } = await keyWith({ expiresAt });
    const made = await createToken(app, { expiresInSeconds: 3_600 }, secret);
    expect(Date.parse(made.expiresAt)).toBeLessThanOrEqual(expiresAt.getTime());
  });

  test('is not for tokens: one would live for ever by making the next', async () => {
    const { token } = await createToken(app, {});
    const { errors } = await ask(app, CREATE_TOKEN, { input: { scopes: ['tasks:read'] } }, token);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });

  test.each<[string, object, string[]]>([
    ['a scope of administrators', { scopes: ['keys:admin'] }, ['INVALID_SCOPES']],
    ['no scope', { scopes: [] }, ['INVALID_SCOPES']],
    ['a moment', { expiresInSeconds: 59 }, ['INVALID_EXPIRY']],
    ['more than a day', { expiresInSeconds: 86_401 }, ['INVALID_EXPIRY']],
    ['nobody', { endUserId: '' }, ['INVALID_END_USER']],
    ['somebody with a NUL', { endUserId: 'a\0' }, ['INVALID_END_USER']],
    ['no tasks', { taskIds: [] }, ['INVALID_TASK_IDS']],
    ['a task that there is not', { taskIds: [newId()] }, ['NOT_FOUND']],
    ['what is no task', { taskIds: ['x'] }, ['NOT_FOUND']],
    ['too many tasks', { taskIds: Array.from({ length: 101 }, () => newId()) }, ['INVALID_TASK_IDS']],
    ['a limit of zero', { limits: { connections: 0 } }, ['INVALID_LIMITS']],
  ])('refuses %s', async (_what, input, codes) => {
    const refused = await createToken(app, input);
    expect(refused.userErrors.map(({ code }) => code)).toEqual(codes);
    expect(refused.token).toBeNull();
  });
});

describe('a token ends with the key that made it', () => {
  test.each([
    ['revoked', (id: string) => answerOf(app, REVOKE_KEY, { id })],
    ['rotated away', (id: string) => answerOf(app, ROTATE_KEY, { id, graceSeconds: 0 })],
    ['expired', (id: string) => app.rows('UPDATE api_keys SET expires_at = now() WHERE id = $1', [id])],
  ])('when that is %s: on every instance within 5 s, streams included', async (_what, end) => {
    const { apiKey, secret } = await keyWith({});
    const { token } = await createToken(app, { endUserId: 'anna' }, secret);
    const [taskId = ''] = await addTasks(sql, await firstWorkspace(sql), 1);
    await app.rows("UPDATE tasks SET end_user_id = 'anna' WHERE id = $1", [taskId]);
    const streams = [app, other].flatMap(({ url }) =>
      TRANSPORTS.map((transport) => openStream({ url, key: token, transport, target: {} })),
    );
    open.push(...streams);
    await waitFor('all to be open', async () => {
      await writeEvent(sql, taskId, 'TASK_SUBMITTED');
      return streams.every(({ received }) => received.length > 0);
    });
    const since = Date.now();
    await end(apiKey.id);
    const endings = await Promise.all(streams.map(({ ended }) => ended));
    expect(Date.now() - since).toBeLessThan(WITHIN_MS);
    expect(endings.slice(0, 3)).toEqual([
      { code: 4403, reason: 'Forbidden' },
      { status: 200 },
      { status: 200, closing: { code: 'KEY_REVOKED', cursor: null } },
    ]);
    for (const at of [app, other])
      await waitFor('the refusal', async () => (await statusWith(token, at)) === 401);
  });
});

test('a token that is over is refused at once, and its streams end within 5 s', async () => {
  const expiresAt = new Date(Math.ceil(Date.now() / 1000 + 3) * 1000);
  const token = await signing.sign(await claimsOf(app, { expiresAt }));
  expect(await statusWith(token)).toBe(200);
  const streams = TRANSPORTS.map((transport) =>
    openStream({ url: app.url, key: token, transport, target: {} }),
  );
  open.push(...streams);
  const endings = await Promise.all(streams.map(({ ended }) => ended));
  const late = Date.now() - expiresAt.getTime();
  expect(late).toBeGreaterThanOrEqual(0);
  expect(late).toBeLessThan(WITHIN_MS);
  expect(endings[0]).toEqual({ code: 4403, reason: 'Forbidden' });
  expect(endings[2]).toEqual({ status: 200, closing: { code: 'KEY_REVOKED', cursor: null } });
  expect(await statusWith(token)).toBe(401);
});

test('a token that an earlier SECRET_KEY has signed is good while that is kept, and its key stays published', async () => {
  const token = await signing.sign(await claimsOf(app));
  const environment = {
    SECRET_KEY: 'another-secret-key-that-only-tests-know',
    SECRET_KEY_OLD: SECRET_KEY,
  };
  const changed = await TestApp.start({ environment, databaseUrl: app.databaseUrl, key: app.key });
  try {
    expect(await statusWith(token, changed)).toBe(200);
    const { json } = await changed.get('/.well-known/jwks.json');
    expect((json as JSONWebKeySet).keys).toHaveLength(2);
    const { token: next } = await createToken(changed, {});
    expect([await statusWith(next, changed), await statusWith(next)]).toEqual([200, 401]);
  } finally {
    await changed.stop();
  }
});
