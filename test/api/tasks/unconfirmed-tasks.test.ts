import { type ServerResponse } from 'node:http';
import { expect, jest, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { reply } from '../../support/net/test-http-server.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { createTestDatabase } from '../../support/setup/test-database.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

test('an unconfirmed task whose reply named its upstream ID is read, and gets its result', async () => {
  const upstream = await FakeUpstream.open();
  const app = await TestApp.start({
    environment: { ...upstream.environment, FLUX_MODE: 'wait', ALLOW_PRIVATE_HOSTS: '127.0.0.1' },
    tuning: { readUpstreamAfterMs: 300 },
  });
  try {
    const error = { code: 'timeout', message: 'still working' };
    upstream.onSubmit = reply(504, { success: false, task_id: 'known-id', trace_id: 'known-trace', error });
    const item = {
      id: 'known-id',
      finished_at: 1,
      response: { ...upstream.successCallback(), task_id: 'known-id' },
    };
    upstream.onRead = reply(200, { items: [item], count: 1 });
    const { id } = await app.generate({ prompt: 'slow' });
    expect(await app.waitUntilSettled(id)).toMatchObject({
      status: 'SUCCEEDED',
      upstreamTaskId: 'known-id',
    });
    const types = (await app.history(id)).map(({ type }) => type);
    expect(types).toEqual(expect.arrayContaining(['SUBMIT_UNCONFIRMED', 'TASK_SUCCEEDED']));
    expect(upstream.submissions('slow')).toHaveLength(1);
  } finally {
    await app.stop();
    await upstream.close();
  }
}, 60_000);

test('a refusal that reaches an instance without PostgreSQL after another has made the task UNCONFIRMED lets it be sent again', async () => {
  // The queue writes its errors to the console.
  jest.spyOn(console, 'trace').mockImplementation(() => undefined);
  const upstream = await FakeUpstream.open();
  const database = await createTestDatabase();
  const { proxy, url } = await TcpProxy.inFrontOf(database.url);
  const accept = upstream.onSubmit;
  const held: ServerResponse[] = [];
  upstream.onSubmit = (response) => held.push(response);
  const { environment } = upstream;
  const first = await TestApp.start({ databaseUrl: url, environment });
  const { id } = await first.generate({ prompt: 'held', timeoutSeconds: 3_600 });
  const [response] = await waitFor('the submission', () => held.length > 0 && held);
  const { dataDir, apiKey } = first;
  const second = await TestApp.start({ databaseUrl: database.url, dataDir, apiKey, environment });
  try {
    await proxy.cut();
    const isUnconfirmed = async () => (await second.task(id)).status === 'UNCONFIRMED';
    await waitFor('the takeover', isUnconfirmed, { timeoutMs: 30_000 });
    upstream.onSubmit = accept;
    const error = { code: 'too_many_requests', message: 'slow down' };
    if (response) reply(429, { success: false, error })(response, undefined as never);
    await proxy.restore();
    const isRunning = async () => (await second.task(id)).status === 'RUNNING';
    await waitFor('the next attempt', isRunning, { timeoutMs: 60_000 });
    expect(upstream.submissions('held')).toHaveLength(2);
  } finally {
    await first.stop();
    await second.stop();
    await proxy.cut();
    await database.drop();
    await upstream.close();
  }
}, 150_000);
