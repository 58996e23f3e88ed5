import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { generateApiKey } from '../../../src/core/access/api-key.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { TestApp } from '../../support/app/test-app.js';
import { queryField, postGraphql } from '../../support/app/graphql-request.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey } from '../../support/access/workspaces.js';
import {
  AUDIT_LOG,
  type AuditEntryFields,
  CREATE_KEY,
  CREATE_WORKSPACE,
  type CreatedKey,
  type Page,
  REVOKE_KEY,
  ROTATE_KEY,
  VIEWER,
  type ViewerFields,
} from '../../support/access/access-operations.js';

let app: TestApp;
let viewer: ViewerFields;
beforeAll(async () => {
  app = await TestApp.start({
    environment: { TRUST_PROXY: '1' },
    tuning: { authenticationFailureWindowMs: 100 },
  });
  viewer = await queryField<ViewerFields>(app, VIEWER);
});
afterAll(() => app.stop());

const entries = async (filter: object = {}, key = app.apiKey) =>
  (await queryField<Page<AuditEntryFields>>(app, AUDIT_LOG, { filter }, key)).nodes;
const createKey = (name: string, scopes = ['tasks:read']) =>
  queryField<CreatedKey>(app, CREATE_KEY, { input: { name, scopes } });
/** The only entry with this action and target. */
const entryOf = async (action: string, targetId: string) => {
  const found = (await entries({ actions: [action] })).filter((entry) => entry.targetId === targetId);
  expect(found).toHaveLength(1);
  return found[0];
};
/** Sends a request with this key, as if a trusted proxy had forwarded it for `forwardedFor`. */
const authenticate = async (key: string, forwardedFor: string) =>
  app.postBody(
    '/graphql',
    { query: VIEWER },
    { authorization: `Bearer ${key}`, 'x-forwarded-for': forwardedFor },
  );

describe('the audit log', () => {
  test('creating, rotating and revoking an API key record the acting key and the client address, but no secret', async () => {
    const { apiKey, secret } = await createKey('recorded');
    const rotated = await queryField<CreatedKey>(app, ROTATE_KEY, { id: apiKey.id });
    await queryField(app, REVOKE_KEY, { id: rotated.apiKey.id });
    await queryField(app, REVOKE_KEY, { id: rotated.apiKey.id });
    const caller = { actor: 'first key', keyId: viewer.keyId, endUserId: null, clientAddress: '127.0.0.1' };
    const creation = await entryOf('API_KEY_CREATED', apiKey.id);
    expect(creation).toMatchObject({ ...caller, data: { name: 'recorded', scopes: ['tasks:read'] } });
    const rotation = await entryOf('API_KEY_ROTATED', apiKey.id);
    expect(rotation).toMatchObject({
      ...caller,
      data: { newKeyId: rotated.apiKey.id, gracePeriodSeconds: 3_600 },
    });
    expect(await entryOf('API_KEY_REVOKED', rotated.apiKey.id)).toMatchObject(caller);
    expect(JSON.stringify(await entries())).not.toContain(secret.slice(9));
  });

  test('the first key is recorded as created by the first start', async () => {
    const [first] = (await entries({ actions: ['API_KEY_CREATED'] })).slice(-1);
    expect(first).toMatchObject({ actor: 'first start', targetId: viewer.keyId, clientAddress: null });
  });

  test('a new workspace is recorded for its creator, and its first key for the workspace itself', async () => {
    const created = await queryField<CreatedKey & { workspace: { id: string } }>(app, CREATE_WORKSPACE, {
      name: 'other',
      scopes: ['audit:read', 'tasks:read'],
    });
    expect(await entryOf('WORKSPACE_CREATED', created.workspace.id)).toMatchObject({ keyId: viewer.keyId });
    expect((await entries({}, created.secret)).map(({ action, targetId }) => [action, targetId])).toEqual([
      ['API_KEY_CREATED', created.apiKey.id],
    ]);
  });

  test('rotating the webhook secret is recorded', async () => {
    await queryField(app, 'mutation { rotateWebhookSecret(input: {}) { userErrors { code } } }');
    await entryOf('WEBHOOK_SECRET_ROTATED', viewer.workspaceId);
  });

  test('deleting an image is recorded with its task', async () => {
    const { id } = await app.generate({ prompt: 'soon deleted' });
    const { images } = await app.waitUntilSettled(id);
    const imageId = images[0]?.id ?? '';
    const remove = 'mutation ($id: ID!) { deleteImage(input: { id: $id }) { userErrors { code } } }';
    await queryField(app, remove, { id: imageId });
    expect(await entryOf('IMAGE_DELETED', imageId)).toMatchObject({ data: { taskId: id } });
  });

  test('replaying a callback is recorded with its task', async () => {
    const { id } = await app.generate({ prompt: 'replayed' });
    await app.waitUntilSettled(id);
    const callbackId = newId();
    const insert = `INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
                  SELECT $1, workspace_id, id, 'MALFORMED', '' FROM tasks WHERE id = $2`;
    await app.rows(insert, [callbackId, id]);
    const replay = 'mutation ($id: ID!) { replayCallback(input: { id: $id }) { userErrors { code } } }';
    await queryField(app, replay, { id: callbackId });
    expect(await entryOf('CALLBACK_REPLAYED', callbackId)).toMatchObject({ data: { taskId: id } });
  });

  test('entries cannot be updated or deleted', async () => {
    for (const statement of [
      "UPDATE audit_log SET actor = 'me'",
      'DELETE FROM audit_log',
      'TRUNCATE audit_log',
    ]) {
      await expect(app.rows(statement)).rejects.toThrow('append-only');
    }
  });

  test('reading the log requires audit:read', async () => {
    const { secret } = await createKey('no auditor', ['keys:admin']);
    const refused = await postGraphql(app, AUDIT_LOG, {}, secret);
    expect(refused.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });

  test('the log is paged newest first and can be filtered by key and time', async () => {
    const all = await entries();
    expect(all.map(({ id }) => id)).toEqual(
      all
        .map(({ id }) => id)
        .sort()
        .reverse(),
    );
    const page = await queryField<Page<AuditEntryFields>>(app, AUDIT_LOG, { first: 2, after: all[0]?.id });
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

describe('failed authentications', () => {
  const failuresFrom = async (clientAddress: string, key = app.apiKey) =>
    (await entries({ actions: ['AUTHENTICATION_FAILED'] }, key)).filter(
      (entry) => entry.clientAddress === clientAddress,
    );

  test('failures are counted in one row for each client address and kind', async () => {
    const key = generateApiKey();
    await Promise.all(Array.from({ length: 20 }, () => authenticate(key, '203.0.113.7')));
    await authenticate('dk_wrong', '203.0.113.7');
    const rows = await waitFor('all failures to be counted', async () => {
      const found = await failuresFrom('203.0.113.7');
      const count = found.reduce((sum, { data }) => sum + Number(data.count), 0);
      return count === 21 && found;
    });
    expect(new Set(rows.map(({ data }) => data.kind))).toEqual(new Set(['UNKNOWN_KEY', 'MALFORMED']));
    expect(rows.length).toBeLessThan(10);
    expect(rows[0]).toMatchObject({ actor: 'anonymous', keyId: null, targetId: null });
  });

  test("a failure with a revoked key appears in the log of the key's workspace with the key", async () => {
    const { apiKey, secret } = await createKey('revoked');
    await queryField(app, REVOKE_KEY, { id: apiKey.id });
    await authenticate(secret, '203.0.113.8');
    const [row] = await waitFor('the row', async () => {
      const found = await failuresFrom('203.0.113.8');
      return found.length > 0 && found;
    });
    expect(row).toMatchObject({
      keyId: apiKey.id,
      actor: 'revoked',
      data: { kind: 'REVOKED_KEY', count: 1 },
    });
  });

  test('failures that belong to no workspace are hidden from auditors of a single workspace', async () => {
    await authenticate(generateApiKey(), '203.0.113.9');
    await waitFor('the row', async () => (await failuresFrom('203.0.113.9')).length > 0);
    const auditor = await addKey(app, viewer.workspaceId, ['audit:read']);
    expect(await failuresFrom('203.0.113.9', auditor)).toEqual([]);
  });

  test('the client address comes from the trusted proxy, not from what the client claims', async () => {
    await authenticate('dk_wrong', '198.51.100.1, 203.0.113.10');
    const [row] = await waitFor('the row', async () => {
      const found = await failuresFrom('203.0.113.10');
      return found.length > 0 && found;
    });
    expect(row?.data).toEqual({ kind: 'MALFORMED', count: 1 });
    expect(await failuresFrom('198.51.100.1')).toEqual([]);
  });
});
