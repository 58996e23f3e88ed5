import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { RedeliverWebhookDocument, RotateWebhookSecretDocument } from '../../clients/operations.js';
import { DEFAULT_RETRY_DELAYS_MS } from '../../src/services/webhooks/webhook-retries.js';
import {
  ALLOW_LOOPBACK,
  type WebhookPayload,
  webhookSecretOf,
  CHEAPEST_REQUEST,
} from '../support/webhooks/received-webhooks.js';
import { TestApp, eventTypes } from '../support/app/test-app.js';
import { freePort } from '../support/net/free-port.js';
import { waitFor } from '../support/wait-for.js';

const [, section = ''] = /^## Webhooks\n(.*?)^## /ms.exec(readFileSync('docs/PROTOCOL.md', 'utf8')) ?? [];
const [, program = ''] = /^```js\n(.*?)^```$/ms.exec(section) ?? [];
const [, example = '{}'] = /^```json\n(.*?)^```$/ms.exec(section) ?? [];

describe('the webhook endpoint of PROTOCOL.md', () => {
  const printed: string[] = [];
  let app: TestApp;
  let child: ChildProcessByStdio<null, Readable, null>;
  let url: string;
  beforeAll(async () => {
    app = await TestApp.start({ environment: ALLOW_LOOPBACK, tuning: { webhookRetryDelaysMs: [] } });
    const port = String(await freePort());
    url = `http://127.0.0.1:${port}/`;
    child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      env: { PATH: process.env.PATH, SECRET: await webhookSecretOf(app), PORT: port },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface(child.stdout).on('line', (line) => printed.push(line));
    const postUnsigned = () => fetch(url, { method: 'POST' }).catch(() => null);
    await waitFor('the endpoint', async () => (await postUnsigned())?.status === 401);
  });
  afterAll(async () => {
    const exit = once(child, 'exit');
    child.kill();
    await exit;
    await app.stop();
  });

  async function deliver(): Promise<string> {
    const { id } = await app.generate({ ...CHEAPEST_REQUEST, prompt: 'for the page', webhookUrl: url });
    await app.waitForEvent(id, 'WEBHOOK_DELIVERED');
    return id;
  }

  test('the endpoint handles each signed result once, in the documented shape, also during a secret rotation', async () => {
    const first = await deliver();
    await app.query(RedeliverWebhookDocument, { input: { taskId: first } });
    await waitFor('the second delivery', async () => {
      return eventTypes(await app.history(first)).filter((type) => type === 'WEBHOOK_DELIVERED').length === 2;
    });
    await app.query(RotateWebhookSecretDocument, { input: {} });
    const second = await deliver();
    const results = printed.map((line) => JSON.parse(line) as WebhookPayload);
    expect(results.map(({ task_id }) => task_id)).toEqual([first, second]);
    const documented = JSON.parse(example) as WebhookPayload;
    expect(Object.keys(results[0] ?? {})).toEqual(Object.keys(documented));
    expect(Object.keys(documented.data[0] ?? {})).toEqual(
      expect.arrayContaining(Object.keys(results[0]?.data[0] ?? {})),
    );
  });

  test('the endpoint refuses forged signatures and old timestamps', async () => {
    const headers = { 'webhook-id': 'x', 'webhook-signature': 'v1,AAAA v1,' };
    const before = printed.length;
    for (const time of [Date.now() / 1000, 0, NaN]) {
      const timed = { ...headers, 'webhook-timestamp': String(time) };
      expect((await fetch(url, { method: 'POST', headers: timed, body: '{}' })).status).toBe(401);
    }
    expect(printed).toHaveLength(before);
  });
});

test('PROTOCOL.md lists the delays between attempts of delivery-outcome.ts', () => {
  const rows = [...section.matchAll(/^\| (\d) +\| (\d+) (s|min|h) +\| ([\d.]+) (s|min|h) +\|$/gm)];
  const unit: Record<string, number> = { s: 1_000, min: 60_000, h: 3_600_000 };
  const table = rows.map(([, attempt, wait, of = '']) => [Number(attempt), Number(wait) * (unit[of] ?? NaN)]);
  expect(table).toEqual(DEFAULT_RETRY_DELAYS_MS.map((delayMs, index) => [index + 2, delayMs]));
  let sum = 0;
  for (const [index, [, , , , total, of = '']] of rows.entries()) {
    sum += DEFAULT_RETRY_DELAYS_MS[index] ?? NaN;
    expect(Number(total) / (sum / (unit[of] ?? NaN))).toBeCloseTo(1, 1);
  }
});
