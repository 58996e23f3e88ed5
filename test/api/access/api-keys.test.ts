import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SCOPES } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { TestApp } from '../../support/app/test-app.js';
import { queryField, postGraphql } from '../../support/app/graphql-request.js';
import { waitFor } from '../../support/wait-for.js';
import {
  CREATE_KEY,
  CREATE_WORKSPACE,
  type ApiKeyFields,
  LIST_KEYS,
  type CreatedKey,
  type Page,
  REVOKE_KEY,
  ROTATE_KEY,
  type WithUserErrors,
  VIEWER,
  type ViewerFields,
} from '../../support/access/access-operations.js';

/** The promised time until every instance refuses an ended key. */
const REFUSED_WITHIN_MS = 5_000;

let app: TestApp;
let other: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
  other = await TestApp.start({ databaseUrl: app.databaseUrl, apiKey: app.apiKey });
});
afterAll(async () => {
  await other.stop();
  await app.stop();
});

const createKey = (input: object, key = app.apiKey) =>
  queryField<CreatedKey>(app, CREATE_KEY, { input }, key);
const createKeyWithScopes = (...scopes: string[]) => createKey({ name: 'created', scopes });
const listKeys = async (key = app.apiKey) =>
  (await queryField<Page<ApiKeyFields>>(app, LIST_KEYS, {}, key)).nodes;
const statusWith = async (key: string, at = app) =>
  (await at.postBody('/graphql', { query: VIEWER }, { authorization: `Bearer ${key}` })).status;
const createWorkspace = (scopes: readonly string[] = SCOPES, key = app.apiKey) =>
  queryField<CreatedKey & { workspace: { id: string; name: string } }>(
    app,
    CREATE_WORKSPACE,
    { name: 'other', scopes },
    key,
  );
const codesOf = ({ userErrors }: WithUserErrors) => userErrors.map(({ code }) => code);

describe('createApiKey', () => {
  test('the response contains the secret, and the key grants its scopes in the same workspace', async () => {
    const limits = { requestsPerMinute: 60, connections: 2 };
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    const { apiKey, secret } = await createKey({ name: 'reader', scopes: ['tasks:read'], limits, expiresAt });
    expect(secret).toMatch(/^dk_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/);
    const settings = { name: 'reader', scopes: ['tasks:read'], expiresAt, revokedAt: null };
    const hint = { prefix: secret.slice(0, 9), lastFour: secret.slice(-4) };
    const allLimits = { ...limits, generationsPerMinute: null, generationsInFlight: null };
    expect(apiKey).toMatchObject({ ...settings, ...hint, limits: allLimits });

    const own = await queryField<ViewerFields>(app, VIEWER);
    const viewer = await queryField<ViewerFields>(app, VIEWER, {}, secret);
    expect(viewer).toEqual({ ...own, keyId: apiKey.id, keyName: 'reader', scopes: ['tasks:read'] });
    const refused = await postGraphql(
      app,
      'mutation { cancelTask(input: { id: "x" }) { outcome } }',
      {},
      secret,
    );
    expect(refused.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect(refused.errors?.[0]?.message).toContain('tasks:write');
  });

  test('the secret is stored nowhere: not in a table, not in the log, not in a list of keys', async () => {
    const { secret } = await createKeyWithScopes('tasks:read');
    await statusWith(secret);
    const middle = secret.slice(9, -4);
    const rows = await app.rows('SELECT to_jsonb(k)::text AS text FROM api_keys k');
    const entries = await app.rows('SELECT to_jsonb(a)::text AS text FROM audit_log a');
    expect(JSON.stringify([rows, entries])).not.toContain(middle);
    expect(app.logLines.join('\n')).not.toContain(middle);
    expect(JSON.stringify(await listKeys())).not.toContain(middle);
  });

  test('a key can only grant scopes that it has, and the error names the missing ones', async () => {
    const admin = await createKeyWithScopes('keys:admin', 'tasks:read');
    const wide = await createKey(
      { name: 'wide', scopes: ['tasks:read', 'tasks:write', 'audit:read'] },
      admin.secret,
    );
    expect(wide).toMatchObject({ apiKey: null, secret: null });
    expect(codesOf(wide)).toEqual(['SCOPE_NOT_HELD', 'SCOPE_NOT_HELD']);
    expect(wide.userErrors[0]).toMatchObject({ field: ['input', 'scopes'] });
    expect(wide.userErrors[0]?.message).toContain('tasks:write');
    expect(codesOf(await createKey({ name: 'narrow', scopes: ['tasks:read'] }, admin.secret))).toEqual([]);
  });

  test.each<[string, object, string[]]>([
    ['an empty name', { name: ' ' }, ['INVALID_NAME']],
    ['a name that is too long', { name: 'x'.repeat(101) }, ['INVALID_NAME']],
    ['a name with a NUL', { name: 'a\0b' }, ['INVALID_NAME']],
    ['no scopes', { scopes: [] }, ['INVALID_SCOPES']],
    ['an unknown scope', { scopes: ['everything'] }, ['INVALID_SCOPES']],
    ['an expiry in the past', { expiresAt: '2020-01-01T00:00:00Z' }, ['INVALID_EXPIRY']],
    ['an expiry in a thousand years', { expiresAt: '3020-01-01T00:00:00Z' }, ['INVALID_EXPIRY']],
    ['a limit of zero', { limits: { connections: 0 } }, ['INVALID_LIMITS']],
    ['a negative limit', { limits: { requestsPerMinute: -1 } }, ['INVALID_LIMITS']],
    ['a limit above the maximum', { limits: { generationsPerMinute: 2_000_000_000 } }, ['INVALID_LIMITS']],
    [
      'several faults at once',
      { name: '', scopes: [], limits: { connections: 0 } },
      ['INVALID_NAME', 'INVALID_SCOPES', 'INVALID_LIMITS'],
    ],
  ])('%s is refused and creates no key', async (_what, input, codes) => {
    const before = (await listKeys()).length;
    const refused = await createKey({ name: 'n', scopes: ['tasks:read'], ...input });
    expect(codesOf(refused)).toEqual(codes);
    expect(refused).toMatchObject({ apiKey: null, secret: null });
    expect(await listKeys()).toHaveLength(before);
  });
});

describe('revokeApiKey', () => {
  test('every instance refuses the key within 5 s, and revoking it again returns the same result', async () => {
    const { apiKey, secret } = await createKeyWithScopes('tasks:read');
    expect([await statusWith(secret), await statusWith(secret, other)]).toEqual([200, 200]);
    const since = Date.now();
    const revoked = await queryField<{ apiKey: ApiKeyFields }>(app, REVOKE_KEY, { id: apiKey.id });
    expect(revoked.apiKey.revokedAt).not.toBeNull();
    for (const at of [app, other])
      await waitFor('the key to be refused', async () => (await statusWith(secret, at)) === 401);
    expect(Date.now() - since).toBeLessThan(REFUSED_WITHIN_MS);
    expect(await queryField(app, REVOKE_KEY, { id: apiKey.id })).toEqual(revoked);
  });
});

describe('rotateApiKey', () => {
  test('the new key has the same rights, and the old key stays valid until the grace period ends', async () => {
    const limits = { connections: 3 };
    const { apiKey, secret } = await createKey({ name: 'rotated', scopes: ['tasks:read'], limits });
    const rotated = await queryField<CreatedKey>(app, ROTATE_KEY, { id: apiKey.id, gracePeriodSeconds: 60 });
    expect(rotated.apiKey).toMatchObject({
      name: 'rotated',
      scopes: ['tasks:read'],
      limits,
      expiresAt: null,
    });
    expect(rotated.apiKey.id).not.toBe(apiKey.id);
    expect([await statusWith(secret), await statusWith(rotated.secret)]).toEqual([200, 200]);
    const old = (await listKeys()).find(({ id }) => id === apiKey.id);
    const remainingMs = Date.parse(old?.expiresAt ?? '') - Date.now();
    expect(remainingMs).toBeGreaterThan(50_000);
    expect(remainingMs).toBeLessThanOrEqual(60_000);

    const again = await queryField<CreatedKey>(app, ROTATE_KEY, {
      id: rotated.apiKey.id,
      gracePeriodSeconds: 0,
    });
    for (const at of [app, other])
      await waitFor('the key to be refused', async () => (await statusWith(rotated.secret, at)) === 401);
    expect(await statusWith(again.secret)).toBe(200);
  });

  test('rotation never extends the expiry of the old or the new key', async () => {
    const expiresAt = new Date(Date.now() + 30_000).toISOString();
    const { apiKey } = await createKey({ name: 'short', scopes: ['tasks:read'], expiresAt });
    const rotated = await queryField<CreatedKey>(app, ROTATE_KEY, {
      id: apiKey.id,
      gracePeriodSeconds: 3_600,
    });
    expect(rotated.apiKey.expiresAt).toBe(expiresAt);
    expect((await listKeys()).find(({ id }) => id === apiKey.id)?.expiresAt).toBe(expiresAt);
  });

  test.each([
    ['no expiry', null],
    ['an expiry', new Date(Date.now() + 7_200_000).toISOString()],
  ])(
    'a rotation whose answer was lost can be repeated, and the new key keeps %s',
    async (_what, expiresAt) => {
      const { apiKey } = await createKey({ name: 'repeated', scopes: ['tasks:read'], expiresAt });
      const rotate = () => queryField<CreatedKey>(app, ROTATE_KEY, { id: apiKey.id, gracePeriodSeconds: 60 });
      const [lost, repeated] = [await rotate(), await rotate()];
      expect(lost.apiKey.expiresAt).toBe(expiresAt);
      expect(repeated.apiKey.expiresAt).toBe(expiresAt);
      expect([await statusWith(lost.secret), await statusWith(repeated.secret)]).toEqual([200, 200]);
    },
  );

  test('a key cannot rotate a key that has scopes which it lacks', async () => {
    const admin = await createKeyWithScopes('keys:admin');
    const writer = await createKeyWithScopes('tasks:write');
    const refused = await queryField<CreatedKey>(app, ROTATE_KEY, { id: writer.apiKey.id }, admin.secret);
    expect(codesOf(refused)).toEqual(['SCOPE_NOT_HELD']);
    expect(refused.userErrors[0]?.message).toContain('tasks:write');
    expect(refused.secret).toBeNull();
    expect(await statusWith(writer.secret)).toBe(200);
  });

  test.each([-1, 604_801])('a grace period of %i seconds is refused', async (gracePeriodSeconds) => {
    const { apiKey } = await createKeyWithScopes('tasks:read');
    const refused = await queryField<CreatedKey>(app, ROTATE_KEY, { id: apiKey.id, gracePeriodSeconds });
    expect(codesOf(refused)).toEqual(['INVALID_GRACE_PERIOD']);
  });

  test('a revoked key cannot be rotated', async () => {
    const { apiKey } = await createKeyWithScopes('tasks:read');
    await queryField(app, REVOKE_KEY, { id: apiKey.id });
    expect(codesOf(await queryField<CreatedKey>(app, ROTATE_KEY, { id: apiKey.id }))).toEqual(['NOT_FOUND']);
  });
});

describe('createWorkspace', () => {
  test('a new workspace gets a key of its own that sees only this workspace', async () => {
    const created = await createWorkspace(['keys:admin', 'tasks:read']);
    expect(created.workspace).toMatchObject({ name: 'other' });
    const viewer = await queryField<ViewerFields>(app, VIEWER, {}, created.secret);
    expect(viewer).toMatchObject({ workspaceId: created.workspace.id, workspaceName: 'other' });
    expect(viewer.scopes).toEqual(['tasks:read', 'keys:admin']);
    expect((await listKeys(created.secret)).map(({ id }) => id)).toEqual([created.apiKey.id]);
  });

  test('creating a workspace requires workspaces:admin and the granted scopes', async () => {
    const without = await createKeyWithScopes('keys:admin');
    const refused = await postGraphql(
      app,
      CREATE_WORKSPACE,
      { name: 'n', scopes: ['keys:admin'] },
      without.secret,
    );
    expect(refused.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    const narrow = await createKeyWithScopes('workspaces:admin');
    expect(codesOf(await createWorkspace(['tasks:write'], narrow.secret))).toEqual(['SCOPE_NOT_HELD']);
  });

  test.each([
    ['revoking', REVOKE_KEY],
    ['rotating', ROTATE_KEY],
  ])("%s another workspace's key gives the same answer as an unknown key", async (_what, document) => {
    const other = await createWorkspace();
    const foreign = await queryField<WithUserErrors>(app, document, { id: other.apiKey.id });
    const unknown = await queryField<WithUserErrors>(app, document, { id: newId() });
    const malformed = await queryField<WithUserErrors>(app, document, { id: 'no id' });
    expect(foreign).toEqual(unknown);
    expect(malformed).toEqual(unknown);
    expect(codesOf(foreign)).toEqual(['NOT_FOUND']);
    expect(await statusWith(other.secret)).toBe(200);
  });
});

describe('apiKeys', () => {
  test('keys are paged newest first', async () => {
    const { secret } = await createWorkspace();
    for (const name of ['one', 'two', 'three']) await createKey({ name, scopes: ['tasks:read'] }, secret);
    const page = (after: string | null) =>
      queryField<Page<ApiKeyFields>>(app, LIST_KEYS, { first: 2, after }, secret);
    const first = await page(null);
    expect(first.nodes.map(({ name }) => name)).toEqual(['three', 'two']);
    const second = await page(first.pageInfo.endCursor);
    expect(second.nodes.map(({ name }) => name)).toEqual(['one', 'first key']);
    expect(second.pageInfo.hasNextPage).toBe(false);
  });

  test('lastUsedAt is written in the background and at most once a minute', async () => {
    const { apiKey, secret } = await createKeyWithScopes('tasks:read');
    const lastUsedAt = async () => (await listKeys()).find(({ id }) => id === apiKey.id)?.lastUsedAt ?? null;
    expect(await lastUsedAt()).toBeNull();
    expect(await statusWith(secret)).toBe(200);
    const first = await waitFor('lastUsedAt to be written', lastUsedAt);
    expect(Math.abs(Date.parse(first) - Date.now())).toBeLessThan(10_000);
    const marker = await createKeyWithScopes('tasks:read');
    await statusWith(secret);
    await statusWith(marker.secret);
    await waitFor(
      'a later use to be written',
      async () => (await listKeys()).find(({ id }) => id === marker.apiKey.id)?.lastUsedAt,
    );
    expect(await lastUsedAt()).toBe(first);
  });
});
