import { createHmac, createPublicKey } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { importJWK, type JWK, type JWTPayload, SignJWT } from 'jose';
import { TestApp } from '../../support/app/test-app.js';
import { queryField, postGraphql } from '../../support/app/graphql-request.js';
import { AUDIENCE, TestIdentityProvider } from '../../support/access/identity-provider.js';
import { openSubscriptionStream, STREAM_TRANSPORTS } from '../../support/events/streams.js';
import { waitFor } from '../../support/wait-for.js';
import { type Page } from '../../support/access/access-operations.js';
import { CREATE_CLIENT_TOKEN } from '../../support/access/client-tokens.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';
import { RawWebSocket } from '../../support/events/raw-websocket.js';
import { ViewerDocument } from '../../../clients/operations.js';

const VIEWER = '{ viewer { workspaceName keyName scopes endUserId expiresAt } }';
const GENERATE = 'mutation { generateImages(input: { prompt: "x" }) { task { id endUserId } } }';

let provider: TestIdentityProvider;
let app: TestApp;
let environment: Record<string, string>;
/** Claims by person. Two people have no usable workspace. */
const claims: Record<string, object> = {
  anna: { workspace: 'default' },
  bert: { workspace: 'default' },
  carl: { workspace: 'no such workspace' },
  dora: {},
};
beforeAll(async () => {
  provider = await TestIdentityProvider.create(claims);
  // The provider is not running yet when the service starts.
  environment = { OIDC_ISSUER: provider.issuer, OIDC_AUDIENCE: AUDIENCE };
  app = await TestApp.start({ environment, tuning: { jwksCooldownMs: 0 } });
});
afterEach(() => provider.stop());
afterAll(() => app.stop());

const responseTo = async (token: string) => {
  const body = { query: VIEWER };
  const { status, json } = await app.postBody('/graphql', body, { authorization: `Bearer ${token}` });
  return { status, json };
};
const statusWith = async (token: string) => (await responseTo(token)).status;
/** The service may still remember that the provider was down, so the first attempts can fail. */
const waitUntilAccepted = (token: string) =>
  waitFor('the token to be accepted', async () => (await statusWith(token)) === 200);
const signingKey = () => provider.keys[0] as JWK;

/** Signs a token as the provider does, with the given claims and header fields changed. */
async function signToken(overrides: JWTPayload, header: object = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const payload = { iss: provider.issuer, aud: AUDIENCE, sub: 'anna', iat: now, exp: now + 60 };
  return new SignJWT({ ...payload, workspace: 'default', scope: 'tasks:read', ...overrides })
    .setProtectedHeader({ alg: 'RS256', kid: signingKey().kid, typ: 'at+jwt', ...header })
    .sign(await importJWK(signingKey(), 'RS256'));
}

describe('tokens of the identity provider', () => {
  test('tokens give 503 while the provider is down and work once it is up, even if it was down at startup', async () => {
    await provider.start();
    const token = await provider.token('anna');
    await provider.stop();
    const refusal = await responseTo(token);
    expect(refusal.status).toBe(503);
    expect(JSON.stringify(refusal.json)).toContain('IDENTITY_PROVIDER_UNAVAILABLE');
    expect(await statusWith(app.apiKey)).toBe(200);

    await provider.start();
    await waitUntilAccepted(token);
    const viewer = await queryField(app, VIEWER, {}, token);
    const scopes = ['tasks:read', 'tasks:write'];
    expect(viewer).toMatchObject({ workspaceName: 'default', endUserId: 'anna', scopes });
  });

  test('a token creates and reads tasks of its end user in the workspace named by its claim', async () => {
    await provider.start();
    const [anna, bert] = [await provider.token('anna'), await provider.token('bert')];
    await waitUntilAccepted(anna);
    const { task } = await queryField<{ task: { id: string } }>(app, GENERATE, {}, anna);
    expect(task).toMatchObject({ endUserId: 'anna' });
    const tasksOf = async (token: string) =>
      (await queryField<Page<{ id: string }>>(app, '{ tasks { nodes { id } } }', {}, token)).nodes;
    expect(await tasksOf(anna)).toEqual([{ id: task.id }]);
    expect(await tasksOf(bert)).toEqual([]);
  });

  test('the people of each workspace count as one key, and not those of other workspaces', async () => {
    await provider.start();
    const { workspaceId: other } = (await app.query(ViewerDocument, {}, await addWorkspaceWithKey(app)))
      .viewer;
    const { databaseUrl, apiKey } = app;
    const limited = await TestApp.start({
      ...{ databaseUrl, apiKey },
      environment: { ...environment, ROLES: 'api', LIMITS_PER_KEY: 'requestsPerMinute=3,connections=1' },
      tuning: { rateLimitWindowMs: 24 * 3_600_000, jwksCooldownMs: 0 },
    });
    try {
      const send = (token: string) =>
        limited.postBody('/graphql', { query: VIEWER }, { authorization: `Bearer ${token}` });
      const here = await Promise.all(['anna', 'bert'].map((sub) => signToken({ sub })));
      const there = await signToken({ workspace: other });
      for (const token of [here[0], here[1], here[0]]) expect((await send(token ?? '')).status).toBe(200);
      for (const token of here) expect((await send(token)).status).toBe(429);
      const { status, headers } = await send(there);
      expect([status, headers['ratelimit']]).toEqual([200, expect.stringMatching(/^"requests";r=2;/)]);
      const socket = await RawWebSocket.openAcknowledged(limited.url, here[0] ?? '');
      (await RawWebSocket.openAcknowledged(limited.url, there)).cut();
      socket.cut();
    } finally {
      await limited.stop();
    }
  });

  test('a token gets no administrative scope and cannot create client tokens, even if the provider grants it', async () => {
    await provider.start();
    const token = await provider.token('anna');
    await waitUntilAccepted(token);
    const input = { scopes: ['tasks:read'] };
    for (const query of ['{ apiKeys { nodes { id } } }', CREATE_CLIENT_TOKEN]) {
      const { errors } = await postGraphql(app, query, { input }, token);
      expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    }
  });

  test('tokens keep working while the provider is down, because its public keys are cached', async () => {
    await provider.start();
    const [one, other] = [await provider.token('anna'), await provider.token('bert')];
    await waitUntilAccepted(one);
    await provider.stop();
    expect([await statusWith(one), await statusWith(other)]).toEqual([200, 200]);
  });

  test('after the provider rotates its keys, new tokens are accepted and old ones are refused', async () => {
    await provider.start();
    const old = await provider.token('anna');
    await waitUntilAccepted(old);
    await provider.stop();
    await provider.rotateKeys();
    await provider.start();
    await waitUntilAccepted(await provider.token('anna'));
    expect(await statusWith(old)).toBe(401);
  });

  test('streams end when their token expires', async () => {
    await provider.start();
    await waitUntilAccepted(await provider.token('anna'));
    // Expired 28 s ago, so 2 s of the clock tolerance of 30 s are left.
    const token = await signToken({ exp: Math.floor(Date.now() / 1_000) - 28 });
    const streams = STREAM_TRANSPORTS.map((transport) =>
      openSubscriptionStream({ url: app.url, key: token, transport, target: {} }),
    );
    const [socket, , plain] = await Promise.all(streams.map(({ ended }) => ended));
    expect(socket).toEqual({ code: 4403, reason: 'Forbidden' });
    expect(plain).toEqual({ status: 200, closing: { code: 'API_KEY_REVOKED', cursor: null } });
  });
});

describe('invalid tokens of the identity provider', () => {
  const now = () => Math.floor(Date.now() / 1_000);
  const unsigned = async (header: object) => {
    const [, body = ''] = (await signToken({})).split('.');
    return `${Buffer.from(JSON.stringify(header)).toString('base64url')}.${body}`;
  };
  test.each<[string, () => Promise<string>]>([
    ['with another audience', () => signToken({ aud: 'https://elsewhere.example' })],
    [
      'issued by the provider for another audience',
      () => provider.token('anna', 'https://elsewhere.example'),
    ],
    ['with another issuer', () => signToken({ iss: 'https://elsewhere.example' })],
    ['that has expired', () => signToken({ exp: now() - 61 })],
    ['without exp', () => signToken({ exp: undefined })],
    ['issued in the future', () => signToken({ iat: now() + 120, exp: now() + 240 })],
    ['that is not valid yet', () => signToken({ nbf: now() + 120 })],
    ['without a subject', () => signToken({ sub: undefined })],
    ['with an empty subject', () => signToken({ sub: '' })],
    ['with a NUL in its subject', () => signToken({ sub: 'a\0b' })],
    ['with an unknown workspace', () => provider.token('carl')],
    ['without a workspace', () => provider.token('dora')],
    ['with a list as its workspace', () => signToken({ workspace: ['default'] })],
    ['of another type', () => signToken({}, { typ: 'logout+jwt' })],
    ['with an unknown kid', () => signToken({}, { kid: 'x' })],
    ['with an altered payload', async () => (await signToken({})).replace(/\.(.{20})/, '.$1A')],
    ['with alg none', async () => `${await unsigned({ alg: 'none' })}.`],
    [
      'signed with the public key as a shared secret',
      async () => {
        const { kty, n, e } = signingKey();
        const secret = createPublicKey({ key: { kty, n, e }, format: 'jwk' }).export({
          format: 'pem',
          type: 'spki',
        });
        const text = await unsigned({ alg: 'HS256', kid: signingKey().kid, typ: 'at+jwt' });
        return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
      },
    ],
  ])('a token %s is refused', async (_what, createToken) => {
    await provider.start();
    await waitUntilAccepted(await provider.token('anna'));
    expect(await statusWith(await createToken())).toBe(401);
  });

  test('a token of another issuer is refused without a request to the provider', async () => {
    await provider.start();
    await waitUntilAccepted(await provider.token('anna'));
    const before = provider.requestCount;
    for (const iss of ['https://elsewhere.example', `${provider.issuer}/`])
      expect(await statusWith(await signToken({ iss }, { kid: 'unknown' }))).toBe(401);
    expect(provider.requestCount).toBe(before);
  });
});
