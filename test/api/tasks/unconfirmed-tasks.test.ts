import { expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';
import { reply } from '../../support/net/test-http-server.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';

test('an unconfirmed task whose reply named its upstream ID is read, and gets its result', async () => {
  const upstream = await FakeUpstream.open();
  const app = await TestApp.start({
    environment: { ...upstream.environment, FLUX_MODE: 'wait', ALLOW_PRIVATE_HOSTS: '127.0.0.1' },
    tuning: { pollUpstreamAfterMs: 300 },
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
