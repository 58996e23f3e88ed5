import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newApiKey } from '../../../src/core/access/api-key.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { TestApp } from '../../support/app/test-app.js';
import { answerOf, ask } from '../../support/app/graphql-request.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey } from '../../support/access/workspaces.js';
import {
  AUDIT_LOG,
  type AuditView,
  CREATE_KEY,
  CREATE_WORKSPACE,
  type MadeKey,
  type PageOf,
  REVOKE_KEY,
  ROTATE_KEY,
  VIEWER,
  type ViewerView,
} from '../../support/access/access-operations.js';

let app: TestApp;
let viewer: ViewerView;
beforeAll(async () => {
  app = await TestApp.start({ environment: { TRUST_PROXY: '1' }, tuning: { signInWindowMs: 100 } });
  viewer = await answerOf<ViewerView>(app, VIEWER);
});
afterAll(() => app.stop());

const entries = async (filter: object = {}, key = app.key) =>
  (await answerOf<PageOf<AuditView>>(app, AUDIT_LOG, { filter }, key)).nodes;
const create = (name: string, scopes = ['tasks:read']) =>
  answerOf<MadeKey>(app, CREATE_KEY, { input: { name, scopes } });
const entryOf = async (action: string, subject: string) => {
  const found = (await entries({ actions: [action] })).filter((entry) => entry.subject === subject);
  expect(found).toHaveLength(1);
  return found[0];
};
/** Comes with this key from this address, as a proxy of ours tells it. */
const signIn = async (key: string, from: string) =>
  app.send('/graphql', { query: VIEWER }, { authorization: `Bearer ${key}`, 'x-forwarded-for': from });

describe('the audit log', () => {
  test('tells who made, rotated and revoked a key, with which key and from where, and no secret', async () => {
    const { apiKey, secret } = await create('told');
    const rotated = await answerOf<MadeKey>(app, ROTATE_KEY, { id: apiKey.id });
    await answerOf(app, REVOKE_KEY, { id: rotated.apiKey.id });
    await answerOf(app, REVOKE_KEY, { id: rotated.apiKey.id });
    const by = { actor: 'first key', keyId: viewer.keyId, endUserId: null, source: '127.0.0.1' };
    const made = await entryOf('KEY_CREATED', apiKey.id);
    expect(made).toMatchObject({ ...by, data: { name: 'told', scopes: ['tasks:read'] } });
    const turned = await entryOf('KEY_ROTATED', apiKey.id);
    expect(turned).toMatchObject({ ...by, data: { newKeyId: rotated.apiKey.id, graceSeconds: 3_600 } });
    expect(await entryOf('KEY_REVOKED', rotated.apiKey.id)).toMatchObject(by);
    expect(JSON.stringify(await entries())).not.toContain(secret.slice(9));
  });

  test('tells of the first key, of a new workspace, of a new webhook secret and of a deleted image', async () => {
    const [first] = (await entries({ actions: ['KEY_CREATED'] })).slice(-1);
    expect(first).toMatchObject({ actor: 'first start', subject: viewer.keyId, source: null });

    const theirs = await answerOf<MadeKey & { workspace: { id: string } }>(app, CREATE_WORKSPACE, {
      name: 'theirs',
      scopes: ['audit:read', 'tasks:read'],
    });
    expect(await entryOf('WORKSPACE_CREATED', theirs.workspace.id)).toMatchObject({ keyId: viewer.keyId });
    expect((await entries({}, theirs.secret)).map(({ action, subject }) => [action, subject])).toEqual([
      ['KEY_CREATED', theirs.apiKey.id],
    ]);

    await answerOf(app, 'mutation { rotateWebhookSecret(input: {}) { userErrors { code } } }');
    await entryOf('WEBHOOK_SECRET_ROTATED', viewer.workspaceId);

    const { id } = await app.generate({ prompt: 'soon gone' });
    const { images } = await app.settled(id);
    const imageId = images[0]?.id ?? '';
    const remove = 'mutation ($id: ID!) { deleteImage(input: { id: $id }) { userErrors { code } } }';
    await answerOf(app, remove, { id: imageId });
    expect(await entryOf('IMAGE_DELETED', imageId)).toMatchObject({ data: { taskId: id } });
  });

  test('tells of a callback that was taken again', async () => {
    const { id } = await app.generate({ prompt: 'again' });
    await app.settled(id);
    const callbackId = newId();
    const copy = `INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
                  SELECT $1, workspace_id, id, 'MALFORMED', '' FROM tasks WHERE id = $2`;
    await app.rows(copy, [callbackId, id]);
    const replay = 'mutation ($id: ID!) { replayCallback(input: { id: $id }) { userErrors { code } } }';
    await answerOf(app, replay, { id: callbackId });
    expect(await entryOf('CALLBACK_REPLAYED', callbackId)).toMatchObject({ data: { taskId: id } });
  });

  test('is never changed', async () => {
    for (const statement of [
      "UPDATE audit_log SET actor = 'me'",
      'DELETE FROM audit_log',
      'TRUNCATE audit_log',
    ]) {
      await expect(app.rows(statement)).rejects.toThrow('append-only');
    }
  });

  test('is read with audit:read alone, in pages, and by action, key and time', async () => {
    const { secret } = await create('no auditor', ['keys:admin']);
    const refused = await ask(app, AUDIT_LOG, {}, secret);
    expect(refused.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);

    const all = await entries();
    expect(all.map(({ id }) => id)).toEqual(
      all
        .map(({ id }) => id)
        .sort()
        .reverse(),
    );
    const page = await answerOf<PageOf<AuditView>>(app, AUDIT_LOG, { first: 2, after: all[0]?.id });
    expect(page.nodes).toEqual(all.slice(1, 3));
    expect(await entries({ keyId: newId() })).toEqual([]);
    expect(await entries({ keyId: 'no id' })).toEqual([]);
    const byKey = await entries({ keyId: viewer.keyId });
    expect(byKey).toEqual(all.filter(({ keyId }) => keyId === viewer.keyId));
    const middle = all[2]?.at ?? '';
    expect(await entries({ since: middle })).toEqual(all.filter(({ at }) => at >= middle));
    expect(await entries({ until: middle })).toEqual(all.filter(({ at }) => at < middle));
  });
});

describe('sign-ins that fail', () => {
  const failures = async (source: string, key = app.key) =>
    (await entries({ actions: ['SIGN_IN_FAILED'] }, key)).filter((entry) => entry.source === source);

  test('are one row with a count for each source and kind, not a row each', async () => {
    const key = newApiKey();
    await Promise.all(Array.from({ length: 20 }, () => signIn(key, '203.0.113.7')));
    await signIn('dk_wrong', '203.0.113.7');
    const rows = await waitFor('all to be counted', async () => {
      const found = await failures('203.0.113.7');
      const count = found.reduce((sum, { data }) => sum + Number(data.count), 0);
      return count === 21 && found;
    });
    expect(new Set(rows.map(({ data }) => data.kind))).toEqual(new Set(['UNKNOWN_KEY', 'MALFORMED']));
    expect(rows.length).toBeLessThan(10);
    expect(rows[0]).toMatchObject({ actor: 'nobody', keyId: null, subject: null });
  });

  test('with a key that was revoked are told to its workspace, with the key', async () => {
    const { apiKey, secret } = await create('gone');
    await answerOf(app, REVOKE_KEY, { id: apiKey.id });
    await signIn(secret, '203.0.113.8');
    const [row] = await waitFor('the row', async () => {
      const found = await failures('203.0.113.8');
      return found.length > 0 && found;
    });
    expect(row).toMatchObject({ keyId: apiKey.id, actor: 'gone', data: { kind: 'REVOKED_KEY', count: 1 } });
  });

  test('that are nobody’s are told to those who look after all workspaces, and to nobody else', async () => {
    await signIn(newApiKey(), '203.0.113.9');
    await waitFor('the row', async () => (await failures('203.0.113.9')).length > 0);
    const auditor = await addKey(app, viewer.workspaceId, ['audit:read']);
    expect(await failures('203.0.113.9', auditor)).toEqual([]);
  });

  test('come from where our own proxy says, not from where a client says that it is', async () => {
    await signIn('dk_wrong', '198.51.100.1, 203.0.113.10');
    const [row] = await waitFor('the row', async () => {
      const found = await failures('203.0.113.10');
      return found.length > 0 && found;
    });
    expect(row?.data).toEqual({ kind: 'MALFORMED', count: 1 });
    expect(await failures('198.51.100.1')).toEqual([]);
  });
});
