import { describe, expect, test } from '@jest/globals';
import { type Answerer, drop, halfReply, reply, silence } from '../support/net/http-peer.js';
import {
  CALLBACK_URL,
  GENERATE,
  TASK_ID,
  TOKEN,
  TRACE_ID,
  envelope,
  errorOf,
  open,
  sample,
  waitsOf,
} from '../support/upstreams/acedata-fixture.js';

describe('what the upstream refuses', () => {
  const rateLimit = [1, 2, 4, 8, 16];
  test.each([
    [400, 'token_mismatched', 'UPSTREAM_BAD_REQUEST', false, []],
    [401, 'token_mismatched', 'UPSTREAM_CREDENTIALS', true, []],
    [400, 'api_not_implemented', 'UPSTREAM_BAD_REQUEST', false, []],
    [400, 'bad_request', 'UPSTREAM_BAD_REQUEST', false, []],
    [400, 'no_token', 'UPSTREAM_CREDENTIALS', true, []],
    [401, 'invalid_token', 'UPSTREAM_CREDENTIALS', true, []],
    [401, 'token_expired', 'UPSTREAM_CREDENTIALS', true, []],
    [403, 'used_up', 'UPSTREAM_OUT_OF_CREDIT', true, []],
    [403, 'disabled', 'UPSTREAM_DISABLED', true, []],
    [403, 'forbidden', 'CONTENT_REJECTED', false, []],
    [404, 'no_api', 'UPSTREAM_BAD_REQUEST', false, []],
    [429, 'too_many_requests', 'UPSTREAM_RATE_LIMITED', true, rateLimit],
    [500, 'api_error', 'UPSTREAM_FAILED', true, [2, 8]],
    [503, 'api_error', 'UPSTREAM_FAILED', true, [2, 8]],
    [200, 'used_up', 'UPSTREAM_OUT_OF_CREDIT', true, []],
    [200, 'never_heard_of', 'UPSTREAM_FAILED', true, []],
    [401, 'never_heard_of', 'UPSTREAM_CREDENTIALS', true, []],
    [409, 'constructor', 'UPSTREAM_BAD_REQUEST', false, []],
  ])('%i %s is %s (retryable: %s)', async (status, upstreamCode, code, retryable, waits) => {
    const { flux, peer } = await open(reply(status, envelope(upstreamCode)));
    for (const request of [() => flux.submit(GENERATE), () => flux.readTasks([TASK_ID])]) {
      const error = await errorOf(request());
      expect(error).toMatchObject({
        outcome: 'refused',
        failure: { code, retryable, upstreamCode, upstreamTraceId: TRACE_ID },
      });
      expect(waitsOf(error)).toEqual(waits);
    }
    expect(peer.received).toHaveLength(2);
  });

  test.each([
    [400, { error: 'bare' }, 'UPSTREAM_BAD_REQUEST', []],
    [401, {}, 'UPSTREAM_CREDENTIALS', []],
    [403, { error: 'bare' }, 'UPSTREAM_BAD_REQUEST', []],
    [404, '', 'UPSTREAM_BAD_REQUEST', []],
    [429, { message: 'slow down' }, 'UPSTREAM_RATE_LIMITED', rateLimit],
  ])('%i without an envelope (%p) is %s by its status', async (status, body, code, waits) => {
    const { flux } = await open(reply(status, body));
    const error = await errorOf(flux.submit(GENERATE));
    expect(error).toMatchObject({ outcome: 'refused', failure: { code, upstreamCode: null } });
    expect(waitsOf(error)).toEqual(waits);
  });

  test.each([
    ['40', 40],
    ['3600', 60],
    [new Date(Date.now() + 3_600_000).toUTCString(), 60],
  ])('a rate limit waits as long as Retry-After says: %s', async (header, seconds) => {
    const { flux } = await open(reply(429, envelope('too_many_requests'), { 'retry-after': header }));
    expect(waitsOf(await errorOf(flux.submit(GENERATE)))).toEqual(Array(5).fill(seconds));
  });

  test('what the upstream says about a bad request is told, without links, tokens and long secrets', async () => {
    const says = `no ${TOKEN} may fetch ${CALLBACK_URL} with sk_0123456789abcdefghij, nor ${'blah '.repeat(100)}`;
    const { flux } = await open(reply(400, envelope('bad_request', says)));
    const { message } = await errorOf(flux.submit(GENERATE));
    expect(message).toContain('The upstream says: "no (token) may fetch (link) with (…), nor blah');
    expect(message.length).toBeLessThan(350);
  });
});

describe('what may have arrived', () => {
  const html = '<html><body>502 Bad Gateway</body></html>';
  test.each<[string, Answerer]>([
    ['504 timeout', reply(504, envelope('timeout'))],
    ['timeout with another status', reply(200, envelope('timeout'))],
    ['504 with any code', reply(504, envelope('api_error'))],
    ['502 in HTML', reply(502, html)],
    ['503 without a body', reply(503, '')],
    ['504 with a bare string', reply(504, { error: 'bare' })],
    ['500 with a bare string', reply(500, sample('error-bare-string'))],
    ['500 with a code that we do not know', reply(500, envelope('never_heard_of'))],
    ['403 in HTML', reply(403, html)],
    ['408', reply(408, {})],
    ['a redirect', reply(302, '', { location: 'https://example.com/' })],
    ['200 in HTML', reply(200, html)],
    ['200 without a body', reply(200, '')],
    ['200 that names no task', reply(200, { success: true })],
    ['200 with a list', reply(200, [])],
    ['a dropped connection', drop],
    ['half a reply', halfReply],
    ['silence', silence],
  ])('%s', async (_what, answer) => {
    const { flux, peer } = await open(answer, { submitTimeoutMs: 150 });
    const error = await errorOf(flux.submit(GENERATE));
    expect(error).toMatchObject({
      outcome: 'unknown',
      failure: { code: 'SUBMIT_UNCONFIRMED', retryable: false },
    });
    expect(waitsOf(error)).toEqual([]);
    expect(peer.received).toHaveLength(1);
  });

  test('a waiting submit has its own time limit', async () => {
    const { flux } = await open(silence, { mode: 'wait', submitTimeoutMs: 60_000, waitTimeoutMs: 150 });
    await expect(errorOf(flux.submit(GENERATE))).resolves.toMatchObject({ outcome: 'unknown' });
  });

  test('the trace of a time-out is kept', async () => {
    const { flux } = await open(reply(504, envelope('timeout')));
    const { failure } = await errorOf(flux.submit(GENERATE));
    expect(failure).toMatchObject({ upstreamCode: 'timeout', upstreamTraceId: TRACE_ID });
  });
});

test('what was not sent is tried twenty times', async () => {
  const { flux, peer } = await open(silence);
  await peer.close();
  const error = await errorOf(flux.submit(GENERATE));
  expect(error).toMatchObject({
    outcome: 'not-sent',
    failure: { code: 'UPSTREAM_UNREACHABLE', retryable: true },
  });
  expect(waitsOf(error)).toEqual([1, 2, 4, 8, 16, ...Array<number>(15).fill(30)]);
});
