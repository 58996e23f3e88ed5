import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  GenerateImagesDocument,
  RedeliverWebhookDocument,
  RetryTaskDocument,
  TaskWebhookDeliveriesDocument,
} from '../../../clients/operations.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { TestHttpServer, reply } from '../../support/net/test-http-server.js';
import { PRIVATE_HOST_URLS } from '../../support/net/hostile-urls.js';
import { TestApp } from '../../support/app/test-app.js';
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';
import {
  webhookAttemptsOf,
  ALLOW_LOOPBACK,
  CHEAPEST_REQUEST,
} from '../../support/webhooks/received-webhooks.js';

let app: TestApp;
let endpoint: TestHttpServer;

beforeAll(async () => {
  app = await TestApp.start({ environment: ALLOW_LOOPBACK });
  endpoint = await TestHttpServer.open(reply(200, ''));
});
afterAll(async () => {
  await app.stop();
  await endpoint.close();
});

async function generate(fields: { webhookUrl?: string | null; idempotencyKey?: string }) {
  const input = { ...CHEAPEST_REQUEST, prompt: 'a request', ...fields };
  return (await app.query(GenerateImagesDocument, { input })).generateImages;
}
async function countTasks(): Promise<number> {
  const [row] = await app.rows<{ count: number }>('SELECT count(*)::int AS count FROM tasks');
  return row?.count ?? -1;
}

describe('webhookUrl', () => {
  // ALLOW_LOOPBACK permits the URLs on loopback. All others are private.
  const privateUrls = PRIVATE_HOST_URLS.filter((url) => /\/\/(10|172|192|169|100|\[f|0\.)/.test(url));
  const invalidUrls = [
    '',
    'ftp://example.com/',
    'nonsense',
    'http://user:word@example.com/',
    'http://example.com:22/',
    `http://${'a.'.repeat(127)}a/`,
    // Short as they are written, and too long in Punycode and with percent-encoding.
    `http://${'\u4e2d\u6587\u57df.'.repeat(30)}example.com/`,
    `http://example.com/${'\u4e2d'.repeat(300)}`,
  ];
  test.each([...privateUrls.slice(0, 12), ...invalidUrls, `https://example.com/${'x'.repeat(2_048)}`])(
    '%s is rejected, and no task is created',
    async (url) => {
      const before = await countTasks();
      const { task, userErrors } = await generate({ webhookUrl: url.replace('PORT', '8080') });
      expect(task).toBeNull();
      expect(userErrors).toMatchObject([{ code: 'INVALID_WEBHOOK_URL', field: ['input', 'webhookUrl'] }]);
      expect(await countTasks()).toBe(before);
    },
  );

  // Unusual spellings that URL parsers accept.
  test.each([
    'http:127.0.0.1:PORT/odd',
    ' HTTP:\\\\127.1:PORT\\odd',
    'http:/127.0.0.1:PORT/odd',
    'http:///127.0.0.1:PORT/odd',
  ])('%p is normalized, and the webhook is delivered', async (url) => {
    const before = endpoint.requests.length;
    const { task } = await generate({ webhookUrl: url.replace('PORT', String(endpoint.port)) });
    await app.waitForEvent(task?.id ?? '', 'WEBHOOK_DELIVERED');
    expect(endpoint.requests.slice(before)).toMatchObject([{ path: '/odd' }]);
    const [row] = await app.rows('SELECT endpoint FROM webhook_deliveries WHERE task_id = $1', [task?.id]);
    expect(row).toEqual({ endpoint: endpoint.url });
  });

  test('is copied to the new task by retryTask', async () => {
    const webhookUrl = `${endpoint.url}/again`;
    const { task } = await generate({ webhookUrl });
    await app.waitForEvent(task?.id ?? '', 'WEBHOOK_DELIVERED');
    const { retryTask } = await app.query(RetryTaskDocument, { input: { id: task?.id ?? '' } });
    await app.waitForEvent(retryTask.task?.id ?? '', 'WEBHOOK_DELIVERED');
    const requests = endpoint.requests.filter(({ path }) => path === '/again');
    expect(requests.map(({ body }) => (JSON.parse(body) as { task_id: string }).task_id)).toEqual([
      task?.id,
      retryTask.task?.id,
    ]);
  });

  test('is part of the request that an idempotency key identifies', async () => {
    const input = { idempotencyKey: newId(), webhookUrl: `${endpoint.url}/a` };
    const { task } = await generate(input);
    expect((await generate(input)).task?.id).toBe(task?.id);
    for (const webhookUrl of [`${endpoint.url}/b`, null]) {
      const { userErrors } = await generate({ ...input, webhookUrl });
      expect(userErrors).toMatchObject([{ code: 'IDEMPOTENCY_CONFLICT' }]);
    }
  });
});

describe('a caller without access', () => {
  test('in another workspace gets the same answers for our task as for an unknown task', async () => {
    const { task } = await generate({ webhookUrl: `${endpoint.url}/ours` });
    const id = task?.id ?? '';
    await app.waitForEvent(id, 'WEBHOOK_DELIVERED');
    const otherApiKey = await addWorkspaceWithKey(app);
    const deliveries = await app.query(TaskWebhookDeliveriesDocument, { id }, otherApiKey);
    expect(deliveries).toEqual({ task: null });
    const payloads = await Promise.all(
      [id, newId(), 'no id'].map(async (taskId) =>
        JSON.stringify(await app.query(RedeliverWebhookDocument, { input: { taskId } }, otherApiKey)),
      ),
    );
    expect(new Set(payloads).size).toBe(1);
    expect(payloads[0]).toContain('NOT_FOUND');
    expect((await webhookAttemptsOf(app, id)).nodes).toHaveLength(1);
    expect(endpoint.requests.filter(({ path }) => path === '/ours')).toHaveLength(1);
  });

  test('because its API key may only read cannot request a redelivery', async () => {
    const [row] = await app.rows<{ id: string }>('SELECT workspace_id AS id FROM tasks LIMIT 1');
    const readOnlyApiKey = await addKey(app, row?.id ?? '', ['tasks:read']);
    const { errors } = await app.execute(
      RedeliverWebhookDocument,
      { input: { taskId: newId() } },
      readOnlyApiKey,
    );
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });
});
