import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { type Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { RedeliverCallbackDocument, RotateWebhookSecretDocument } from '../../clients/operations.js';
import { RETRY_DELAYS_MS } from '../../src/services/webhooks/delivery-outcome.js';
import { LOOPBACK, type Posted, secretOf, SMALL } from '../support/webhooks/received-webhooks.js';
import { TestApp, typesOf } from '../support/app/test-app.js';
import { freePort } from '../support/net/free-port.js';
import { waitFor } from '../support/wait-for.js';

const [, section = ''] =
  /^## Callbacks out\n(.*?)^## /ms.exec(readFileSync('docs/PROTOCOL.md', 'utf8')) ?? [];
const [, program = ''] = /^```js\n(.*?)^```$/ms.exec(section) ?? [];
const [, example = '{}'] = /^```json\n(.*?)^```$/ms.exec(section) ?? [];

describe('the receiver of PROTOCOL.md', () => {
  const printed: string[] = [];
  let app: TestApp;
  let child: ChildProcessByStdio<null, Readable, null>;
  let url: string;
  beforeAll(async () => {
    app = await TestApp.start({ environment: LOOPBACK, tuning: { deliveryDelaysMs: [] } });
    const port = String(await freePort());
    url = `http://127.0.0.1:${port}/`;
    child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      env: { PATH: process.env.PATH, SECRET: await secretOf(app), PORT: port },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface(child.stdout).on('line', (line) => printed.push(line));
    const isThere = () => fetch(url, { method: 'POST' }).catch(() => null);
    await waitFor('the receiver', async () => (await isThere())?.status === 401);
  });
  afterAll(async () => {
    const gone = once(child, 'exit');
    child.kill();
    await gone;
    await app.stop();
  });

  async function deliver(): Promise<string> {
    const { id } = await app.generate({ ...SMALL, prompt: 'for the page', callbackUrl: url });
    await app.happened(id, 'CALLBACK_DELIVERED');
    return id;
  }

  test('takes each result once, in the shape of the page, and verifies it as we sign it, also while secrets overlap', async () => {
    const first = await deliver();
    await app.query(RedeliverCallbackDocument, { input: { id: first } });
    await waitFor('the second delivery', async () => {
      return typesOf(await app.history(first)).filter((type) => type === 'CALLBACK_DELIVERED').length === 2;
    });
    await app.query(RotateWebhookSecretDocument, { input: {} });
    const second = await deliver();
    const results = printed.map((line) => JSON.parse(line) as Posted);
    expect(results.map(({ task_id }) => task_id)).toEqual([first, second]);
    const shown = JSON.parse(example) as Posted;
    expect(Object.keys(results[0] ?? {})).toEqual(Object.keys(shown));
    expect(Object.keys(shown.data[0] ?? {})).toEqual(
      expect.arrayContaining(Object.keys(results[0]?.data[0] ?? {})),
    );
  });

  test('refuses what somebody else posts, and what is old', async () => {
    const headers = { 'webhook-id': 'x', 'webhook-signature': 'v1,AAAA v1,' };
    const before = printed.length;
    for (const time of [Date.now() / 1000, 0, NaN]) {
      const timed = { ...headers, 'webhook-timestamp': String(time) };
      expect((await fetch(url, { method: 'POST', headers: timed, body: '{}' })).status).toBe(401);
    }
    expect(printed).toHaveLength(before);
  });
});

test('PROTOCOL.md has the waits between attempts of delivery-end.ts', () => {
  const rows = [...section.matchAll(/^\| (\d) +\| (\d+) (s|min|h) +\| ([\d.]+) (s|min|h) +\|$/gm)];
  const unit: Record<string, number> = { s: 1_000, min: 60_000, h: 3_600_000 };
  const table = rows.map(([, attempt, wait, of = '']) => [Number(attempt), Number(wait) * (unit[of] ?? NaN)]);
  expect(table).toEqual(RETRY_DELAYS_MS.map((delayMs, index) => [index + 2, delayMs]));
  let sum = 0;
  for (const [index, [, , , , total, of = '']] of rows.entries()) {
    sum += RETRY_DELAYS_MS[index] ?? NaN;
    expect(Number(total) / (sum / (unit[of] ?? NaN))).toBeCloseTo(1, 1);
  }
});
