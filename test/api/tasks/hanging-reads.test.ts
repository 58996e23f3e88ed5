import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { reply } from '../../support/net/test-http-server.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

let upstream: FakeUpstream;
let app: TestApp;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  app = await TestApp.start({
    environment: { ...upstream.environment, ALLOW_PRIVATE_HOSTS: '127.0.0.1' },
    tuning: { reconcileIntervalMs: 1_000, readUpstreamAfterMs: 8_000 },
  });
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

test('reads that hang delay no expiry, and are given up so soon that a lost callback is found within 10 s of their return', async () => {
  let readCount = 0;
  upstream.onRead = () => {
    readCount += 1;
  };
  const lost = await app.generate({ prompt: 'lost callback' });
  await waitFor('the task to run', async () => (await app.task(lost.id)).status === 'RUNNING');
  const error = { code: 'used_up', message: 'no credit' };
  upstream.onSubmit = reply(403, { success: false, error });
  const queued = await app.generate({ prompt: 'queued', timeoutSeconds: 10 });
  await waitFor('a read that hangs', () => readCount > 0, { timeoutMs: 30_000 });
  const hasExpired = async () => (await app.task(queued.id)).status === 'EXPIRED';
  // The deadline is 10 s after the request, and the read has begun at least 6 s after it.
  await waitFor('the queued task to expire', hasExpired, { timeoutMs: 8_000 });

  // The next read of the running task hangs as well. The upstream works again right after it has begun.
  readCount = 0;
  await waitFor('another read that hangs', () => readCount > 0, { timeoutMs: 30_000 });
  upstream.onRead = (response, received) => {
    const { ids } = JSON.parse(received.body) as { ids: string[] };
    const items = ids.map((id) => ({ id, finished_at: 1, response: upstream.successCallback() }));
    return reply(200, { items, count: items.length })(response, received);
  };
  const hasSucceeded = async () => (await app.task(lost.id)).status === 'SUCCEEDED';
  await waitFor('the result of the lost callback', hasSucceeded, { timeoutMs: 10_500 });
  expect((await app.task(queued.id)).status).toBe('EXPIRED');
}, 120_000);
