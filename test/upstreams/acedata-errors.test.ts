import { describe, expect, test } from '@jest/globals';
import {
  type RequestHandler,
  dropConnection,
  replyTruncated,
  reply,
  neverReply,
} from '../support/net/test-http-server.js';
import {
  CALLBACK_URL,
  GENERATE,
  TASK_ID,
  TOKEN,
  TRACE_ID,
  errorEnvelope,
  expectUpstreamError,
  openUpstream,
  readSample,
  retryDelaysSeconds,
} from '../support/upstreams/acedata-fixture.js';

describe('a response that refuses the request', () => {
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
    [429, 'too_many_requests', 'UPSTREAM_RATE_LIMITED', true, []],
    [500, 'api_error', 'UPSTREAM_FAILED', true, [2, 7, 7, 7, 7, 7]],
    [503, 'api_error', 'UPSTREAM_FAILED', true, [2, 7, 7, 7, 7, 7]],
    [200, 'used_up', 'UPSTREAM_OUT_OF_CREDIT', true, []],
    [200, 'never_heard_of', 'UPSTREAM_FAILED', false, []],
    [401, 'never_heard_of', 'UPSTREAM_CREDENTIALS', true, []],
    [409, 'constructor', 'UPSTREAM_BAD_REQUEST', false, []],
  ])('%i %s is %s (retryable: %s)', async (status, upstreamCode, code, retryable, delays) => {
    const { client, server } = await openUpstream(reply(status, errorEnvelope(upstreamCode)));
    for (const request of [() => client.submit(GENERATE), () => client.readTasks([TASK_ID])]) {
      const error = await expectUpstreamError(request());
      expect(error).toMatchObject({
        outcome: 'refused',
        failure: { code, retryable, upstreamCode, upstreamTraceId: TRACE_ID },
      });
      expect(retryDelaysSeconds(error)).toEqual(delays);
    }
    expect(server.requests).toHaveLength(2);
  });

  test.each([
    [400, { error: 'bare' }, 'UPSTREAM_BAD_REQUEST', []],
    [401, {}, 'UPSTREAM_CREDENTIALS', []],
    [403, { error: 'bare' }, 'UPSTREAM_BAD_REQUEST', []],
    [404, '', 'UPSTREAM_BAD_REQUEST', []],
    [429, { message: 'slow down' }, 'UPSTREAM_RATE_LIMITED', []],
  ])('%i without an envelope (%p) is %s by its status', async (status, body, code, delays) => {
    const { client } = await openUpstream(reply(status, body));
    const error = await expectUpstreamError(client.submit(GENERATE));
    expect(error).toMatchObject({ outcome: 'refused', failure: { code, upstreamCode: null } });
    expect(retryDelaysSeconds(error)).toEqual(delays);
  });

  test.each([
    ['40', 40_000],
    ['3600', 60_000],
    [new Date(Date.now() + 3_600_000).toUTCString(), 60_000],
    ['soon', null],
  ])(
    'a rate limit slows submissions as long as the Retry-After header says: %s',
    async (header, retryAfterMs) => {
      const { client } = await openUpstream(
        reply(429, errorEnvelope('too_many_requests'), { 'retry-after': header }),
      );
      const error = await expectUpstreamError(client.submit(GENERATE));
      expect(error).toMatchObject({
        backPressure: { kind: 'RATE', retryAfterMs },
        failure: { retryable: true },
      });
    },
  );

  test.each([
    [403, 'used_up', { kind: 'ACCOUNT', retryAfterMs: null }],
    [401, 'invalid_token', { kind: 'ACCOUNT', retryAfterMs: null }],
    [403, 'disabled', { kind: 'ACCOUNT', retryAfterMs: null }],
    [401, 'never_heard_of', { kind: 'ACCOUNT', retryAfterMs: null }],
    [403, 'forbidden', null],
    [400, 'bad_request', null],
    [500, 'api_error', null],
  ])('%i %s tells whether other requests would be refused as well', async (status, code, backPressure) => {
    const { client } = await openUpstream(reply(status, errorEnvelope(code)));
    expect((await expectUpstreamError(client.submit(GENERATE))).backPressure).toEqual(backPressure);
  });

  test("the upstream's message about a bad request is quoted without links, tokens and long secrets", async () => {
    const upstreamMessage = `no ${TOKEN} may fetch ${CALLBACK_URL} with sk_0123456789abcdefghij, nor ${'blah '.repeat(100)}`;
    const { client } = await openUpstream(reply(400, errorEnvelope('bad_request', upstreamMessage)));
    const { message } = await expectUpstreamError(client.submit(GENERATE));
    expect(message).toContain('The upstream says: "no (token) may fetch (link) with (…), nor blah');
    expect(message.length).toBeLessThan(350);
  });
});

describe('a request that may have arrived is unconfirmed after', () => {
  const html = '<html><body>502 Bad Gateway</body></html>';
  test.each<[string, RequestHandler]>([
    ['504 timeout', reply(504, errorEnvelope('timeout'))],
    ['timeout with another status', reply(200, errorEnvelope('timeout'))],
    ['504 with any code', reply(504, errorEnvelope('api_error'))],
    ['502 in HTML', reply(502, html)],
    ['503 without a body', reply(503, '')],
    ['504 with a plain string', reply(504, { error: 'bare' })],
    ['500 with a plain string', reply(500, readSample('error-bare-string'))],
    ['500 with an unknown code', reply(500, errorEnvelope('never_heard_of'))],
    ['403 in HTML', reply(403, html)],
    ['408', reply(408, {})],
    ['a redirect', reply(302, '', { location: 'https://example.com/' })],
    ['200 in HTML', reply(200, html)],
    ['200 without a body', reply(200, '')],
    ['200 without a task ID', reply(200, { success: true })],
    ['200 with a list', reply(200, [])],
    ['a dropped connection', dropConnection],
    ['a truncated response', replyTruncated],
    ['no response', neverReply],
  ])('%s', async (_what, handler) => {
    const { client, server } = await openUpstream(handler, { submitTimeoutMs: 150 });
    const error = await expectUpstreamError(client.submit(GENERATE));
    expect(error).toMatchObject({
      outcome: 'unknown',
      failure: { code: 'SUBMIT_UNCONFIRMED', retryable: false },
    });
    expect(retryDelaysSeconds(error)).toEqual([]);
    expect(server.requests).toHaveLength(1);
  });

  test('its own timeout in wait mode', async () => {
    const { client } = await openUpstream(neverReply, {
      mode: 'wait',
      submitTimeoutMs: 60_000,
      waitTimeoutMs: 150,
    });
    await expect(expectUpstreamError(client.submit(GENERATE))).resolves.toMatchObject({ outcome: 'unknown' });
  });

  test('a timeout, whose trace ID is kept', async () => {
    const { client } = await openUpstream(reply(504, errorEnvelope('timeout')));
    const { failure } = await expectUpstreamError(client.submit(GENERATE));
    expect(failure).toMatchObject({ upstreamCode: 'timeout', upstreamTraceId: TRACE_ID });
  });
});

test('a request that was not sent is retried until the deadline, at last every 7 s', async () => {
  const { client, server } = await openUpstream(neverReply);
  await server.close();
  const error = await expectUpstreamError(client.submit(GENERATE));
  expect(error).toMatchObject({
    outcome: 'not-sent',
    failure: { code: 'UPSTREAM_UNREACHABLE', retryable: true },
  });
  expect(retryDelaysSeconds(error)).toEqual([1, 2, 4, 7]);
  for (const attempt of [7, 100]) {
    const delayMs = error.retryAfterMs(attempt, { untilDeadline: true });
    expect(delayMs).toBeGreaterThanOrEqual(7_000);
    expect(delayMs).toBeLessThanOrEqual(8_750);
  }
});
