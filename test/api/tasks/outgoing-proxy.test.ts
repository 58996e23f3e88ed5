import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { ConnectProxy } from '../../support/net/connect-proxy.js';
import { reply } from '../../support/net/test-http-server.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';

/** Nothing of these exists. Only the proxy leads to the server behind both. */
const UPSTREAM = 'http://upstream.example:8080';
const IMAGE_URL = 'http://93.184.216.34/image.png';

let upstream: FakeUpstream;
let proxy: ConnectProxy;
let app: TestApp;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  proxy = await ConnectProxy.open(Number(new URL(upstream.environment.FLUX_BASE_URL ?? '').port));
  const environment = { ...upstream.environment, FLUX_BASE_URL: UPSTREAM, HTTP_PROXY: proxy.url };
  app = await TestApp.start({ environment: { ...environment, FLUX_MODE: 'wait' } });
});
afterAll(async () => {
  await app.stop();
  await proxy.close();
  await upstream.close();
});

test('a task is submitted and its image is stored through HTTP_PROXY', async () => {
  const data = [{ prompt: 'echoed', image_url: IMAGE_URL, seed: 1 }];
  upstream.onSubmit = reply(200, { success: true, task_id: 'one', trace_id: 'trace', data });
  const { id } = await app.generate({ prompt: 'a lighthouse' });
  const task = await app.waitUntilSettled(id);
  expect(task).toMatchObject({ status: 'SUCCEEDED', images: [{ storedAt: expect.any(String) }] });
  expect(new Set(proxy.targets)).toEqual(new Set(['upstream.example:8080', '93.184.216.34:80']));
});
