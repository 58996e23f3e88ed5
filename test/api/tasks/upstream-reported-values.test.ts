import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { doorOf } from '../../support/flux-api/flux-servers.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';

/** What the upstream says beside the result is handed on as it came, and never costs the result. */

let upstream: FakeUpstream;
let app: TestApp;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  app = await TestApp.start({ environment: upstream.environment });
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
const CASES: [what: string, given: string, told: object][] = [
  ['numbers', '"seed":1698551532,"timings":1752743801', { seed: 1698551532, timings: 1752743801 }],
  [
    'a text and an object',
    '"seed":"281520112","timings":{"inference":3.193}',
    { seed: '281520112', timings: { inference: 3.193 } },
  ],
  ['nothing', '"other":1', {}],
  ['null', '"seed":null,"timings":null', { seed: null, timings: null }],
  ['characters that Postgres does not keep', '"seed":"a\\u0000b\\ud800","timings":{"note":"\\ud800"}', {}],
  ['brackets without end', `"seed":7,"timings":${deep}`, { seed: 7 }],
  ['very much', `"seed":7,"timings":{"log":"${'x'.repeat(100_000)}"}`, { seed: 7 }],
];

test.each(CASES)('%s', async (what, given, told) => {
  const body = { action: 'generate', prompt: what, async: true };
  const door = doorOf(app);
  const { body: taken } = await door.images(body);
  const picture = `{"prompt":"echoed","image_url":"${upstream.pictureUrl('one')}",${given}}`;
  const callback = `{"success":true,"task_id":"upstream","data":[${picture}]}`;
  expect((await app.send(await upstream.callbackPath(what), callback)).status).toBe(200);
  const { response } = await door.finished(taken.task_id);
  const image_url = expect.stringContaining('/images/') as unknown;
  expect(response).toMatchObject({ success: true });
  expect((response as { data: unknown }).data).toEqual([{ prompt: what, image_url, ...told }]);
});

test('a failure whose words cannot be kept as they are', async () => {
  const prompt = 'a failure in odd words';
  const door = doorOf(app);
  const { body: taken } = await door.images({ action: 'generate', prompt, async: true });
  // The cut after 200 would be in the middle of a character.
  const message = `\\u0000 \\ud800 ${'x '.repeat(98)}\\ud83d\\udc08 and more`;
  const callback = `{"success":false,"error":{"code":"bad_request","message":"${message}"}}`;
  expect((await app.send(await upstream.callbackPath(prompt), callback)).status).toBe(200);
  const { response } = await door.finished(taken.task_id);
  expect(response).toMatchObject({ success: false, error: { code: 'bad_request' } });
});
