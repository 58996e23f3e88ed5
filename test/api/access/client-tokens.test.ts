import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, jwtVerify } from 'jose';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import {
  openSubscriptionStream,
  type EventSubscriptionStream,
  STREAM_TRANSPORTS,
} from '../../support/events/streams.js';
import { addFinishedTasks, firstWorkspaceId, insertEvent } from '../../support/events/event-rows.js';
import { TestApp } from '../../support/app/test-app.js';
import { queryField, postGraphql } from '../../support/app/graphql-request.js';
import { waitFor } from '../../support/wait-for.js';
import {
  AUDIT_LOG,
  type AuditEntryFields,
  CREATE_KEY,
  type CreatedKey,
  type Page,
  REVOKE_KEY,
  ROTATE_KEY,
} from '../../support/access/access-operations.js';
import {
  buildClaims,
  CREATE_CLIENT_TOKEN,
  createClientToken,
  SECRET_KEY,
  tokenSigning,
} from '../../support/access/client-tokens.js';

/** The promised time until every instance refuses an ended credential. */
const REFUSED_WITHIN_MS = 5_000;
const VIEWER = '{ viewer { keyId keyName scopes endUserId taskIds expiresAt } }';

let app: TestApp;
let other: TestApp;
let sql: pg.Pool;
const open: EventSubscriptionStream[] = [];
beforeAll(async () => {
  const environment = { SECRET_KEY };
  app = await TestApp.start({ environment });
  other = await TestApp.start({ environment, databaseUrl: app.databaseUrl, apiKey: app.apiKey });
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

const createKey = (overrides: object) => {
  const input = { name: 'issuer', scopes: ['tasks:read', 'tasks:write'], ...overrides };
  return queryField<CreatedKey>(app, CREATE_KEY, { input });
};
const statusWith = async (token: string, at = app) =>
  (await at.postBody('/graphql', { query: VIEWER }, { authorization: `Bearer ${token}` })).status;

describe('createClientToken', () => {
  test('the token works on every instance with the requested rights, and its public key is published', async () => {
    const limits = { requestsPerMinute: 10 };
    const request = {
      scopes: ['tasks:read', 'tasks:write'],
      endUserId: 'anna',
      expiresInSeconds: 120,
      limits,
    };
    const { token, expiresAt } = await createClientToken(app, request);
    expect(Math.abs(Date.parse(expiresAt) - Date.now() - 120_000)).toBeLessThan(10_000);
    const viewer = await queryField(other, VIEWER, {}, token);
    expect(viewer).toMatchObject({ keyName: 'first key', scopes: ['tasks:read', 'tasks:write'] });
    expect(viewer).toMatchObject({ endUserId: 'anna', taskIds: null, expiresAt });

    const { json, headers } = await other.get('/.well-known/jwks.json');
    expect(headers['content-type']).toContain('application/jwk-set+json');
    const keys = createLocalJWKSet(json as JSONWebKeySet);
    const { payload } = await jwtVerify(token, keys, { issuer: 'darkroom', audience: 'darkroom' });
    expect(payload).toMatchObject({ sub: 'anna', end_user: 'anna', scope: 'tasks:read tasks:write', limits });
    expect(JSON.stringify(json)).not.toContain('"d"');
  });

  test('the audit log records the token ID and the end user but not the token', async () => {
    const { token } = await createClientToken(app, { endUserId: 'berta' });
    const filter = { actions: ['CLIENT_TOKEN_CREATED'] };
    const { nodes } = await queryField<Page<AuditEntryFields>>(app, AUDIT_LOG, { first: 1, filter });
    expect(nodes).toMatchObject([{ targetId: decodeJwt(token).jti, data: { endUserId: 'berta' } }]);
    expect(JSON.stringify(nodes)).not.toContain(token.split('.')[2]);
  });

  test('scopes and limits beyond those of the key are refused', async () => {
    const { secret } = await createKey({ limits: { connections: 5 } });
    const request = { scopes: ['tasks:read', 'images:write'], limits: { connections: 6 } };
    const refused = await createClientToken(app, request, secret);
    expect(refused).toMatchObject({ token: null, expiresAt: null });
    expect(refused.userErrors.map(({ code }) => code)).toEqual(['SCOPE_NOT_HELD', 'INVALID_LIMITS']);
    expect(refused.userErrors[0]?.message).toContain('images:write');
  });

  test('a token never outlives its key', async () => {
    const expiresAt = new Date(Date.now() + 30_000);
    const { secret } = await createKey({ expiresAt });
    const token = await createClientToken(app, { expiresInSeconds: 3_600 }, secret);
    expect(Date.parse(token.expiresAt)).toBeLessThanOrEqual(expiresAt.getTime());
  });

  test('a token cannot create a token, so that no token can renew itself', async () => {
    const { token } = await createClientToken(app, {});
    const { errors } = await postGraphql(
      app,
      CREATE_CLIENT_TOKEN,
      { input: { scopes: ['tasks:read'] } },
      token,
    );
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });

  test.each<[string, object, string[]]>([
    ['an administrative scope', { scopes: ['keys:admin'] }, ['INVALID_SCOPES']],
    ['no scope', { scopes: [] }, ['INVALID_SCOPES']],
    ['a lifetime of 59 seconds', { expiresInSeconds: 59 }, ['INVALID_EXPIRY']],
    ['a lifetime of more than a day', { expiresInSeconds: 86_401 }, ['INVALID_EXPIRY']],
    ['an empty end-user ID', { endUserId: '' }, ['INVALID_END_USER']],
    ['an end-user ID with a NUL', { endUserId: 'a\0' }, ['INVALID_END_USER']],
    ['an empty list of tasks', { taskIds: [] }, ['INVALID_TASK_IDS']],
    ['an unknown task', { taskIds: [newId()] }, ['NOT_FOUND']],
    ['a malformed task ID', { taskIds: ['x'] }, ['NOT_FOUND']],
    ['more than 100 tasks', { taskIds: Array.from({ length: 101 }, () => newId()) }, ['INVALID_TASK_IDS']],
    ['a limit of zero', { limits: { connections: 0 } }, ['INVALID_LIMITS']],
  ])('refuses %s', async (_what, input, codes) => {
    const refused = await createClientToken(app, input);
    expect(refused.userErrors.map(({ code }) => code)).toEqual(codes);
    expect(refused.token).toBeNull();
  });
});

describe('client tokens end with the API key that created them', () => {
  test.each([
    ['revoked', (id: string) => queryField(app, REVOKE_KEY, { id })],
    [
      'rotated without a grace period',
      (id: string) => queryField(app, ROTATE_KEY, { id, gracePeriodSeconds: 0 }),
    ],
    ['expired', (id: string) => app.rows('UPDATE api_keys SET expires_at = now() WHERE id = $1', [id])],
  ])(
    'when the key is %s, every instance refuses the token and ends its streams within 5 s',
    async (_what, endKey) => {
      const { apiKey, secret } = await createKey({});
      const { token } = await createClientToken(app, { endUserId: 'anna' }, secret);
      const [taskId = ''] = await addFinishedTasks(sql, await firstWorkspaceId(sql), 1);
      await app.rows("UPDATE tasks SET end_user_id = 'anna' WHERE id = $1", [taskId]);
      const streams = [app, other].flatMap(({ url }) =>
        STREAM_TRANSPORTS.map((transport) =>
          openSubscriptionStream({ url, key: token, transport, target: {} }),
        ),
      );
      open.push(...streams);
      await waitFor('every stream to deliver an event', async () => {
        await insertEvent(sql, taskId, 'TASK_SUBMITTED');
        return streams.every(({ received }) => received.length > 0);
      });
      const since = Date.now();
      await endKey(apiKey.id);
      const endings = await Promise.all(streams.map(({ ended }) => ended));
      expect(Date.now() - since).toBeLessThan(REFUSED_WITHIN_MS);
      expect(endings.slice(0, 3)).toEqual([
        { code: 4403, reason: 'Forbidden' },
        { status: 200 },
        { status: 200, closing: { code: 'API_KEY_REVOKED', cursor: null } },
      ]);
      for (const at of [app, other])
        await waitFor('the refusal', async () => (await statusWith(token, at)) === 401);
    },
  );
});

test('an expired token is refused at once, and its streams end within 5 s', async () => {
  const expiresAt = new Date(Math.ceil(Date.now() / 1000 + 3) * 1000);
  const token = await tokenSigning.sign(await buildClaims(app, { expiresAt }));
  expect(await statusWith(token)).toBe(200);
  const streams = STREAM_TRANSPORTS.map((transport) =>
    openSubscriptionStream({ url: app.url, key: token, transport, target: {} }),
  );
  open.push(...streams);
  const endings = await Promise.all(streams.map(({ ended }) => ended));
  const sinceExpiryMs = Date.now() - expiresAt.getTime();
  expect(sinceExpiryMs).toBeGreaterThanOrEqual(0);
  expect(sinceExpiryMs).toBeLessThan(REFUSED_WITHIN_MS);
  expect(endings[0]).toEqual({ code: 4403, reason: 'Forbidden' });
  expect(endings[2]).toEqual({ status: 200, closing: { code: 'API_KEY_REVOKED', cursor: null } });
  expect(await statusWith(token)).toBe(401);
});

test('a token signed with SECRET_KEY_PREVIOUS stays valid, and its public key stays published', async () => {
  const token = await tokenSigning.sign(await buildClaims(app));
  const environment = {
    SECRET_KEY: 'another-secret-key-that-only-tests-know',
    SECRET_KEY_PREVIOUS: SECRET_KEY,
  };
  const changed = await TestApp.start({ environment, databaseUrl: app.databaseUrl, apiKey: app.apiKey });
  try {
    expect(await statusWith(token, changed)).toBe(200);
    const { json } = await changed.get('/.well-known/jwks.json');
    expect((json as JSONWebKeySet).keys).toHaveLength(2);
    const { token: next } = await createClientToken(changed, {});
    expect([await statusWith(next, changed), await statusWith(next)]).toEqual([200, 401]);
  } finally {
    await changed.stop();
  }
});
