import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  GenerateImagesDocument,
  RedeliverCallbackDocument,
  RetryTaskDocument,
  TaskDeliveriesDocument,
} from '../../../clients/operations.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { Peer, reply } from '../../support/net/http-peer.js';
import { PRIVATE_HOSTS } from '../../support/net/hostile-urls.js';
import { TestApp } from '../../support/app/test-app.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';
import { deliveriesOf, LOOPBACK, SMALL } from '../../support/webhooks/received-webhooks.js';

let app: TestApp;
let receiver: Peer;

beforeAll(async () => {
  app = await TestApp.start({ environment: LOOPBACK });
  receiver = await Peer.open(reply(200, ''));
});
afterAll(async () => {
  await app.stop();
  await receiver.close();
});

async function request(input: { callbackUrl?: string | null; idempotencyKey?: string }) {
  const whole = { ...SMALL, prompt: 'a wish', ...input };
  return (await app.query(GenerateImagesDocument, { input: whole })).generateImages;
}
async function tasks(): Promise<number> {
  const [row] = await app.rows<{ count: number }>('SELECT count(*)::int AS count FROM tasks');
  return row?.count ?? -1;
}

describe('callbackUrl', () => {
  // Those that are on loopback may be reached here; all the others may not.
  const elsewhere = PRIVATE_HOSTS.filter((url) => /\/\/(10|172|192|169|100|\[f|0\.)/.test(url));
  const forms = [
    '',
    'ftp://example.com/',
    'nonsense',
    'http://user:word@example.com/',
    'http://example.com:22/',
  ];
  test.each([...elsewhere.slice(0, 12), ...forms, `https://example.com/${'x'.repeat(2_048)}`])(
    '%s is refused, and nothing is written',
    async (url) => {
      const before = await tasks();
      const { task, userErrors } = await request({ callbackUrl: url.replace('PORT', '8080') });
      expect(task).toBeNull();
      expect(userErrors).toMatchObject([{ code: 'INVALID_CALLBACK_URL', field: ['input', 'callbackUrl'] }]);
      expect(await tasks()).toBe(before);
    },
  );

  // URLs that browsers understand, and that do not look like any.
  test.each([
    'http:127.0.0.1:PORT/odd',
    ' HTTP:\\\\127.1:PORT\\odd',
    'http:/127.0.0.1:PORT/odd',
    'http:///127.0.0.1:PORT/odd',
  ])('%p is taken as what it means, and the task reaches its end', async (url) => {
    const before = receiver.received.length;
    const { task } = await request({ callbackUrl: url.replace('PORT', String(receiver.port)) });
    await app.happened(task?.id ?? '', 'CALLBACK_DELIVERED');
    expect(receiver.received.slice(before)).toMatchObject([{ path: '/odd' }]);
    const [row] = await app.rows('SELECT receiver FROM outgoing_callbacks WHERE task_id = $1', [task?.id]);
    expect(row).toEqual({ receiver: receiver.url });
  });

  test('is kept by retryTask', async () => {
    const callbackUrl = `${receiver.url}/again`;
    const { task } = await request({ callbackUrl });
    await app.happened(task?.id ?? '', 'CALLBACK_DELIVERED');
    const { retryTask } = await app.query(RetryTaskDocument, { input: { id: task?.id ?? '' } });
    await app.happened(retryTask.task?.id ?? '', 'CALLBACK_DELIVERED');
    const again = receiver.received.filter(({ path }) => path === '/again');
    expect(again.map(({ body }) => (JSON.parse(body) as { task_id: string }).task_id)).toEqual([
      task?.id,
      retryTask.task?.id,
    ]);
  });

  test('is part of what an idempotency key stands for', async () => {
    const input = { idempotencyKey: newId(), callbackUrl: `${receiver.url}/a` };
    const { task } = await request(input);
    expect((await request(input)).task?.id).toBe(task?.id);
    for (const callbackUrl of [`${receiver.url}/b`, null]) {
      const { userErrors } = await request({ ...input, callbackUrl });
      expect(userErrors).toMatchObject([{ code: 'IDEMPOTENCY_CONFLICT' }]);
    }
  });

  test('that is absent leaves the hash of a request as it was before there were any', async () => {
    const { task } = await request({ callbackUrl: null });
    const [row] = await app.rows<{ hash: string }>(
      "SELECT encode(input_hash, 'hex') AS hash FROM tasks WHERE id = $1",
      [task?.id],
    );
    const input = {
      kind: 'GENERATE',
      prompt: 'a wish',
      model: SMALL.model,
      size: SMALL.size,
      requestedCount: 1,
      sourceImageId: null,
      sourceImageUrl: null,
      metadata: null,
      idempotencyKey: null,
      timeoutSeconds: 600,
    };
    const hash = createHash('sha256').update(JSON.stringify([input, null]));
    expect(row?.hash).toBe(hash.digest('hex'));
  });
});

describe('another workspace', () => {
  test('is answered for a task of ours as for one that never was', async () => {
    const { task } = await request({ callbackUrl: `${receiver.url}/ours` });
    const id = task?.id ?? '';
    await app.happened(id, 'CALLBACK_DELIVERED');
    const stranger = await addWorkspace(app);
    const seen = await app.query(TaskDeliveriesDocument, { id }, stranger);
    expect(seen).toEqual({ task: null });
    const asked = await Promise.all(
      [id, newId(), 'no id'].map(async (one) =>
        JSON.stringify(await app.query(RedeliverCallbackDocument, { input: { id: one } }, stranger)),
      ),
    );
    expect(new Set(asked).size).toBe(1);
    expect(asked[0]).toContain('NOT_FOUND');
    expect((await deliveriesOf(app, id)).nodes).toHaveLength(1);
    expect(receiver.received.filter(({ path }) => path === '/ours')).toHaveLength(1);
  });

  test('and a key that may only read cannot have anything posted again', async () => {
    const [row] = await app.rows<{ id: string }>('SELECT workspace_id AS id FROM tasks LIMIT 1');
    const key = await addKey(app, row?.id ?? '', ['tasks:read']);
    const { errors } = await app.post(RedeliverCallbackDocument, { input: { id: newId() } }, key);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });
});
