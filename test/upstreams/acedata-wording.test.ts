import { describe, expect, test } from '@jest/globals';
import { type RequestHandler, dropConnection, reply } from '../support/net/test-http-server.js';
import {
  EDIT,
  errorEnvelope,
  expectUpstreamError,
  GENERATE,
  openUpstream,
  readSample,
} from '../support/upstreams/acedata-fixture.js';

const ACCEPTED = reply(200, readSample('submit-accepted'));
const FLUX_2 = { ...GENERATE, model: 'flux-2-pro' };
const SIZE_REFUSAL = errorEnvelope('bad_request', 'size is invalid');
const PIXELS = /^\d+x\d+$/;
const RATIO = /^\d+:\d+$/;

interface SentBody {
  action: string;
  size: string;
}
/** Accepts only requests for which `accepts` is true. */
const upstreamThat =
  (accepts: (body: SentBody) => boolean, refusal = reply(400, SIZE_REFUSAL)): RequestHandler =>
  (response, received) =>
    (accepts(JSON.parse(received.body) as SentBody) ? ACCEPTED : refusal)(response, received);
const takesRatios = upstreamThat(({ size }) => RATIO.test(size));
const takesPixels = upstreamThat(({ size }) => PIXELS.test(size));

describe('the size of a submission', () => {
  test.each([
    ['flux-dev', null, '1024x1024'],
    ['flux-dev', '1:1', '1024x1024'],
    ['flux-dev', '512x768', '512x768'],
    ['flux-kontext-pro', null, '1:1'],
    ['flux-kontext-pro', '1024x1024', '1:1'],
    ['flux-kontext-max', '16:9', '16:9'],
    ['flux-2-pro', null, '1:1'],
    ['flux-2-pro', '1024x1024', '1:1'],
    ['flux-2-flex', '16:9', '16:9'],
    ['flux-2-max', '512x512', '512x512'],
    ['flux-2-klein', '1344x768', '1344x768'],
    ['a-model-of-tomorrow', '2K', '2K'],
  ])('of %s is always sent, and %s as %s', async (model, size, sent) => {
    const { client, bodies } = await openUpstream(ACCEPTED);
    await client.submit({ ...GENERATE, model, size });
    await client.submit({ ...EDIT, model, size });
    expect(bodies().map((body) => body['size'])).toEqual([sent, sent]);
  });
});

describe('the spelling of the size of flux-2', () => {
  const sentSizes = (bodies: () => Record<string, unknown>[]) => bodies().map((body) => body['size']);

  test('becomes pixels once a ratio was refused, and is remembered for the model', async () => {
    const { client, bodies } = await openUpstream(takesPixels);
    for (const size of ['1024x1024', '1024x1024', '16:9', '512x512'])
      await expect(client.submit({ ...FLUX_2, size })).resolves.toMatchObject({ kind: 'accepted' });
    expect(sentSizes(bodies)).toEqual(['1:1', '1024x1024', '1024x1024', '1376x768', '512x512']);
  });

  test('becomes a ratio once pixels were refused, and changes back in the same way', async () => {
    const { client, bodies, server } = await openUpstream(takesRatios);
    for (let count = 1; count <= 2; count += 1) await client.submit({ ...FLUX_2, size: '512x512' });
    expect(sentSizes(bodies)).toEqual(['512x512', '1:1', '1:1']);
    server.handler = takesPixels;
    for (let count = 1; count <= 2; count += 1) await client.submit({ ...FLUX_2, size: '512x512' });
    expect(sentSizes(bodies).slice(3)).toEqual(['1:1', '512x512', '512x512']);
  });

  test('is not changed when it would not be exact', async () => {
    const { client, bodies } = await openUpstream(takesRatios);
    const error = await expectUpstreamError(client.submit({ ...FLUX_2, size: '1344x768' }));
    expect(error).toMatchObject({ outcome: 'refused', failure: { code: 'UPSTREAM_BAD_REQUEST' } });
    expect(sentSizes(bodies)).toEqual(['1344x768']);
  });

  test('is not changed for a task that was canceled or has expired meanwhile', async () => {
    const { client, bodies } = await openUpstream(takesPixels);
    const error = await expectUpstreamError(client.submit(FLUX_2, () => Promise.resolve(false)));
    expect(error).toMatchObject({ outcome: 'refused' });
    expect(sentSizes(bodies)).toEqual(['1:1']);
  });

  test('is tried once in both forms', async () => {
    const { client, bodies } = await openUpstream(upstreamThat(() => false));
    await expectUpstreamError(client.submit(FLUX_2));
    expect(sentSizes(bodies)).toEqual(['1:1', '1024x1024']);
  });

  test.each<[string, RequestHandler]>([
    ['a dropped connection', dropConnection],
    ['a 504', reply(504, SIZE_REFUSAL)],
    ['a 500 without a known code', reply(500, { error: 'size is invalid' })],
    ['a 400 in HTML', reply(400, '<html>size is invalid</html>')],
    ['a 408', reply(408, { error: 'size is invalid' })],
  ])('is not changed after %s, because the images may have been made', async (_what, handler) => {
    const { client, bodies } = await openUpstream(handler);
    expect(await expectUpstreamError(client.submit(FLUX_2))).toMatchObject({ outcome: 'unknown' });
    expect(sentSizes(bodies)).toEqual(['1:1']);
  });

  test.each(['used_up', 'invalid_token', 'forbidden', 'too_many_requests', 'api_error', 'disabled'])(
    'is not changed after %s, which is not about the request',
    async (code) => {
      const { client, bodies } = await openUpstream(reply(403, errorEnvelope(code)));
      await expectUpstreamError(client.submit(FLUX_2));
      expect(sentSizes(bodies)).toEqual(['1:1']);
    },
  );

  test('that was changed for a request is not sent again when its outcome is unknown', async () => {
    const { client, bodies } = await openUpstream((response, received) => {
      const { size } = JSON.parse(received.body) as SentBody;
      (RATIO.test(size) ? reply(400, SIZE_REFUSAL) : dropConnection)(response, received);
    });
    expect(await expectUpstreamError(client.submit(FLUX_2))).toMatchObject({ outcome: 'unknown' });
    expect(sentSizes(bodies)).toEqual(['1:1', '1024x1024']);
  });

  test('of an edit and its action are found out together, each with one more request', async () => {
    const { client, bodies } = await openUpstream((response, received) => {
      const { action, size } = JSON.parse(received.body) as SentBody;
      if (action !== 'edits') reply(400, errorEnvelope('api_not_implemented'))(response, received);
      else (PIXELS.test(size) ? ACCEPTED : reply(400, SIZE_REFUSAL))(response, received);
    });
    const edit = { ...EDIT, model: 'flux-2-pro' };
    await client.submit(edit);
    await client.submit(edit);
    expect(bodies().map(({ action, size }) => [action, size])).toEqual([
      ['edit', '1:1'],
      ['edits', '1:1'],
      ['edits', '1024x1024'],
      ['edits', '1024x1024'],
    ]);
  });
});

test('a refusal with 402 is about the account, and nothing was made', async () => {
  const { client } = await openUpstream(reply(402, { x402Version: 1, error: 'payment required' }));
  const error = await expectUpstreamError(client.submit(GENERATE));
  expect(error).toMatchObject({
    outcome: 'refused',
    failure: { code: 'UPSTREAM_OUT_OF_CREDIT' },
    backPressure: { kind: 'ACCOUNT' },
  });
});
