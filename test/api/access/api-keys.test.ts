import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SCOPES } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { TestApp } from '../../support/app/test-app.js';
import { answerOf, ask } from '../../support/app/graphql-request.js';
import { waitFor } from '../../support/wait-for.js';
import {
  CREATE_KEY,
  CREATE_WORKSPACE,
  type KeyView,
  KEYS,
  type MadeKey,
  type PageOf,
  REVOKE_KEY,
  ROTATE_KEY,
  type UserErrors,
  VIEWER,
  type ViewerView,
} from '../../support/access/access-operations.js';

/** What is promised for every instance. */
const WITHIN_MS = 5_000;

let app: TestApp;
let other: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
  other = await TestApp.start({ databaseUrl: app.databaseUrl, key: app.key });
});
afterAll(async () => {
  await other.stop();
  await app.stop();
});

const create = (input: object, key = app.key) => answerOf<MadeKey>(app, CREATE_KEY, { input }, key);
const keyFor = (...scopes: string[]) => create({ name: 'made', scopes });
const keysOf = async (key = app.key) => (await answerOf<PageOf<KeyView>>(app, KEYS, {}, key)).nodes;
const statusWith = async (key: string, at = app) =>
  (await at.send('/graphql', { query: VIEWER }, { authorization: `Bearer ${key}` })).status;
const anotherWorkspace = (scopes: readonly string[] = SCOPES, key = app.key) =>
  answerOf<MadeKey & { workspace: { id: string; name: string } }>(
    app,
    CREATE_WORKSPACE,
    { name: 'theirs', scopes },
    key,
  );
const codesOf = ({ userErrors }: UserErrors) => userErrors.map(({ code }) => code);

describe('createApiKey', () => {
  test('shows the key this once, and it does what its scopes say, in the same workspace', async () => {
    const limits = { requestsPerMinute: 60, connections: 2 };
    const expiresAt = new Date(Date.now() + 60_000).toISOString();
    const { apiKey, secret } = await create({ name: 'reader', scopes: ['tasks:read'], limits, expiresAt });
    expect(secret).toMatch(/^dk_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}$/);
    const known = { name: 'reader', scopes: ['tasks:read'], expiresAt, revokedAt: null };
    const shown = { prefix: secret.slice(0, 9), lastFour: secret.slice(-4) };
    const all = { ...limits, generationsPerMinute: null, generationsInFlight: null };
    expect(apiKey).toMatchObject({ ...known, ...shown, limits: all });

    const own = await answerOf<ViewerView>(app, VIEWER);
    const viewer = await answerOf<ViewerView>(app, VIEWER, {}, secret);
    expect(viewer).toEqual({ ...own, keyId: apiKey.id, keyName: 'reader', scopes: ['tasks:read'] });
    const refused = await ask(app, 'mutation { cancelTask(input: { id: "x" }) { outcome } }', {}, secret);
    expect(refused.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    expect(refused.errors?.[0]?.message).toContain('tasks:write');
  });

  test('keeps nothing by which the key could be found: not in a table, not in a line of the log', async () => {
    const { secret } = await keyFor('tasks:read');
    await statusWith(secret);
    const middle = secret.slice(9, -4);
    const rows = await app.rows('SELECT to_jsonb(k)::text AS text FROM api_keys k');
    const entries = await app.rows('SELECT to_jsonb(a)::text AS text FROM audit_log a');
    expect(JSON.stringify([rows, entries])).not.toContain(middle);
    expect(app.logged.join('\n')).not.toContain(middle);
    expect(JSON.stringify(await keysOf())).not.toContain(middle);
  });

  test('gives no scope that the key which asks does not have, and names it', async () => {
    const admin = await keyFor('keys:admin', 'tasks:read');
    const wide = await create(
      { name: 'wide', scopes: ['tasks:read', 'tasks:write', 'audit:read'] },
      admin.secret,
    );
    expect(wide).toMatchObject({ apiKey: null, secret: null });
    expect(codesOf(wide)).toEqual(['SCOPE_NOT_HELD', 'SCOPE_NOT_HELD']);
    expect(wide.userErrors[0]).toMatchObject({ field: ['input', 'scopes'] });
    expect(wide.userErrors[0]?.message).toContain('tasks:write');
    expect(codesOf(await create({ name: 'narrow', scopes: ['tasks:read'] }, admin.secret))).toEqual([]);
  });

  test.each<[string, object, string[]]>([
    ['an empty name', { name: ' ' }, ['INVALID_NAME']],
    ['a name that is too long', { name: 'x'.repeat(101) }, ['INVALID_NAME']],
    ['a name with a NUL', { name: 'a\0b' }, ['INVALID_NAME']],
    ['no scopes', { scopes: [] }, ['INVALID_SCOPES']],
    ['a scope that there is not', { scopes: ['everything'] }, ['INVALID_SCOPES']],
    ['an end in the past', { expiresAt: '2020-01-01T00:00:00Z' }, ['INVALID_EXPIRY']],
    ['an end in a thousand years', { expiresAt: '3020-01-01T00:00:00Z' }, ['INVALID_EXPIRY']],
    ['a limit of zero', { limits: { connections: 0 } }, ['INVALID_LIMITS']],
    ['a negative limit', { limits: { requestsPerMinute: -1 } }, ['INVALID_LIMITS']],
    ['an absurd limit', { limits: { generationsPerMinute: 2_000_000_000 } }, ['INVALID_LIMITS']],
    [
      'all at once',
      { name: '', scopes: [], limits: { connections: 0 } },
      ['INVALID_NAME', 'INVALID_SCOPES', 'INVALID_LIMITS'],
    ],
  ])('refuses %s, and makes nothing', async (_what, input, codes) => {
    const before = (await keysOf()).length;
    const refused = await create({ name: 'n', scopes: ['tasks:read'], ...input });
    expect(codesOf(refused)).toEqual(codes);
    expect(refused).toMatchObject({ apiKey: null, secret: null });
    expect(await keysOf()).toHaveLength(before);
  });
});

describe('revokeApiKey', () => {
  test('ends the key on every instance within 5 s, and says the same when it is asked again', async () => {
    const { apiKey, secret } = await keyFor('tasks:read');
    expect([await statusWith(secret), await statusWith(secret, other)]).toEqual([200, 200]);
    const since = Date.now();
    const revoked = await answerOf<{ apiKey: KeyView }>(app, REVOKE_KEY, { id: apiKey.id });
    expect(revoked.apiKey.revokedAt).not.toBeNull();
    for (const at of [app, other])
      await waitFor('the refusal', async () => (await statusWith(secret, at)) === 401);
    expect(Date.now() - since).toBeLessThan(WITHIN_MS);
    expect(await answerOf(app, REVOKE_KEY, { id: apiKey.id })).toEqual(revoked);
  });
});

describe('rotateApiKey', () => {
  test('gives the same rights a new secret, and the old one is good until its grace time is over', async () => {
    const limits = { connections: 3 };
    const { apiKey, secret } = await create({ name: 'turning', scopes: ['tasks:read'], limits });
    const rotated = await answerOf<MadeKey>(app, ROTATE_KEY, { id: apiKey.id, graceSeconds: 60 });
    expect(rotated.apiKey).toMatchObject({
      name: 'turning',
      scopes: ['tasks:read'],
      limits,
      expiresAt: null,
    });
    expect(rotated.apiKey.id).not.toBe(apiKey.id);
    expect([await statusWith(secret), await statusWith(rotated.secret)]).toEqual([200, 200]);
    const old = (await keysOf()).find(({ id }) => id === apiKey.id);
    const left = Date.parse(old?.expiresAt ?? '') - Date.now();
    expect(left).toBeGreaterThan(50_000);
    expect(left).toBeLessThanOrEqual(60_000);

    const again = await answerOf<MadeKey>(app, ROTATE_KEY, { id: rotated.apiKey.id, graceSeconds: 0 });
    for (const at of [app, other])
      await waitFor('the refusal', async () => (await statusWith(rotated.secret, at)) === 401);
    expect(await statusWith(again.secret)).toBe(200);
  });

  test('lets no key live longer than it would have', async () => {
    const expiresAt = new Date(Date.now() + 30_000).toISOString();
    const { apiKey } = await create({ name: 'short', scopes: ['tasks:read'], expiresAt });
    const rotated = await answerOf<MadeKey>(app, ROTATE_KEY, { id: apiKey.id, graceSeconds: 3_600 });
    expect(rotated.apiKey.expiresAt).toBe(expiresAt);
    expect((await keysOf()).find(({ id }) => id === apiKey.id)?.expiresAt).toBe(expiresAt);
  });

  test('does not show a secret that can do what the key which asks cannot', async () => {
    const admin = await keyFor('keys:admin');
    const writer = await keyFor('tasks:write');
    const refused = await answerOf<MadeKey>(app, ROTATE_KEY, { id: writer.apiKey.id }, admin.secret);
    expect(codesOf(refused)).toEqual(['SCOPE_NOT_HELD']);
    expect(refused.userErrors[0]?.message).toContain('tasks:write');
    expect(refused.secret).toBeNull();
    expect(await statusWith(writer.secret)).toBe(200);
  });

  test.each([-1, 604_801])('refuses a grace time of %i seconds', async (graceSeconds) => {
    const { apiKey } = await keyFor('tasks:read');
    const refused = await answerOf<MadeKey>(app, ROTATE_KEY, { id: apiKey.id, graceSeconds });
    expect(codesOf(refused)).toEqual(['INVALID_GRACE']);
  });

  test('does not bring back a key that was revoked', async () => {
    const { apiKey } = await keyFor('tasks:read');
    await answerOf(app, REVOKE_KEY, { id: apiKey.id });
    expect(codesOf(await answerOf<MadeKey>(app, ROTATE_KEY, { id: apiKey.id }))).toEqual(['NOT_FOUND']);
  });
});

describe('a workspace', () => {
  test('is made with a key of its own, which sees nothing of the others', async () => {
    const made = await anotherWorkspace(['keys:admin', 'tasks:read']);
    expect(made.workspace).toMatchObject({ name: 'theirs' });
    const viewer = await answerOf<ViewerView>(app, VIEWER, {}, made.secret);
    expect(viewer).toMatchObject({ workspaceId: made.workspace.id, workspaceName: 'theirs' });
    expect(viewer.scopes).toEqual(['tasks:read', 'keys:admin']);
    expect((await keysOf(made.secret)).map(({ id }) => id)).toEqual([made.apiKey.id]);
  });

  test('is not made by a key without workspaces:admin, nor given a scope that the key does not have', async () => {
    const without = await keyFor('keys:admin');
    const refused = await ask(app, CREATE_WORKSPACE, { name: 'n', scopes: ['keys:admin'] }, without.secret);
    expect(refused.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
    const narrow = await keyFor('workspaces:admin');
    expect(codesOf(await anotherWorkspace(['tasks:write'], narrow.secret))).toEqual(['SCOPE_NOT_HELD']);
  });

  test.each([
    ['revoking', REVOKE_KEY],
    ['rotating', ROTATE_KEY],
  ])('answers %s a key of another one as if there were none', async (_what, document) => {
    const theirs = await anotherWorkspace();
    const foreign = await answerOf<UserErrors>(app, document, { id: theirs.apiKey.id });
    const unknown = await answerOf<UserErrors>(app, document, { id: newId() });
    const malformed = await answerOf<UserErrors>(app, document, { id: 'no id' });
    expect(foreign).toEqual(unknown);
    expect(malformed).toEqual(unknown);
    expect(codesOf(foreign)).toEqual(['NOT_FOUND']);
    expect(await statusWith(theirs.secret)).toBe(200);
  });
});

describe('apiKeys', () => {
  test('are pages of the workspace, newest first', async () => {
    const { secret } = await anotherWorkspace();
    for (const name of ['one', 'two', 'three']) await create({ name, scopes: ['tasks:read'] }, secret);
    const page = (after: string | null) => answerOf<PageOf<KeyView>>(app, KEYS, { first: 2, after }, secret);
    const first = await page(null);
    expect(first.nodes.map(({ name }) => name)).toEqual(['three', 'two']);
    const second = await page(first.pageInfo.endCursor);
    expect(second.nodes.map(({ name }) => name)).toEqual(['one', 'first key']);
    expect(second.pageInfo.hasNextPage).toBe(false);
  });

  test('tell when a key was used last, written once a minute and in no request’s way', async () => {
    const { apiKey, secret } = await keyFor('tasks:read');
    const used = async () => (await keysOf()).find(({ id }) => id === apiKey.id)?.lastUsedAt ?? null;
    expect(await used()).toBeNull();
    expect(await statusWith(secret)).toBe(200);
    const first = await waitFor('the use to be written down', used);
    expect(Math.abs(Date.parse(first) - Date.now())).toBeLessThan(10_000);
    const marker = await keyFor('tasks:read');
    await statusWith(secret);
    await statusWith(marker.secret);
    await waitFor(
      'a later use',
      async () => (await keysOf()).find(({ id }) => id === marker.apiKey.id)?.lastUsedAt,
    );
    expect(await used()).toBe(first);
  });
});
