import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { fluxClientFor } from '../../support/flux-api/flux-servers.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';

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

/** The callbacks of these tests are sent as text, because `JSON.stringify` cannot produce all of them. */
const DEEP_ARRAY = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
const CASES: [description: string, upstreamFields: string, returnedFields: object][] = [
  ['numeric values', '"seed":1698551532,"timings":1752743801', { seed: 1698551532, timings: 1752743801 }],
  [
    'a string and an object',
    '"seed":"281520112","timings":{"inference":3.193}',
    { seed: '281520112', timings: { inference: 3.193 } },
  ],
  ['neither a seed nor timings', '"other":1', {}],
  ['null values', '"seed":null,"timings":null', { seed: null, timings: null }],
  ['characters that PostgreSQL cannot store', '"seed":"a\\u0000b\\ud800","timings":{"note":"\\ud800"}', {}],
  ['20,000 nested arrays', `"seed":7,"timings":${DEEP_ARRAY}`, { seed: 7 }],
  ['a value of 100 KB', `"seed":7,"timings":{"log":"${'x'.repeat(100_000)}"}`, { seed: 7 }],
];

describe('the seed and the timings of an image', () => {
  test.each(CASES)(
    'are returned as the upstream reported them, or left out: %s',
    async (prompt, upstreamFields, returnedFields) => {
      const client = fluxClientFor(app);
      const { body: accepted } = await client.images({ action: 'generate', prompt, async: true });
      const image = `{"prompt":"echoed","image_url":"${upstream.imageUrl('one')}",${upstreamFields}}`;
      const callback = `{"success":true,"task_id":"upstream","data":[${image}]}`;
      expect((await app.postBody(await upstream.callbackPath(prompt), callback)).status).toBe(200);
      const { response } = await client.waitUntilFinished(accepted.task_id);
      const image_url = expect.stringContaining('/images/') as unknown;
      expect(response).toMatchObject({ success: true });
      expect((response as { data: unknown }).data).toEqual([{ prompt, image_url, ...returnedFields }]);
    },
  );
});

test('an error message that PostgreSQL cannot store still fails the task', async () => {
  const prompt = 'a failure with an unstorable message';
  const client = fluxClientFor(app);
  const { body: accepted } = await client.images({ action: 'generate', prompt, async: true });
  // Cutting the message after 200 code units would split a surrogate pair.
  const message = `\\u0000 \\ud800 ${'x '.repeat(98)}\\ud83d\\udc08 and more`;
  const callback = `{"success":false,"error":{"code":"bad_request","message":"${message}"}}`;
  expect((await app.postBody(await upstream.callbackPath(prompt), callback)).status).toBe(200);
  const { response } = await client.waitUntilFinished(accepted.task_id);
  expect(response).toMatchObject({ success: false, error: { code: 'bad_request' } });
});
