import { afterEach, expect } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { UpstreamError } from '../../../src/core/tasks/upstream-error.js';
import {
  AceDataClient,
  type AceDataOptions,
  type SubmitRequest,
} from '../../../src/upstreams/acedata-client.js';
import { type RequestHandler, TestHttpServer } from '../net/test-http-server.js';

export const TOKEN = 'token-that-must-stay-secret';
export const CALLBACK_URL = 'https://darkroom.example/callbacks/flux/secret-signature';
export const GENERATE: SubmitRequest = {
  kind: 'GENERATE',
  prompt: 'a white siamese cat',
  model: 'flux-dev',
  size: '1024x1024',
  count: 2,
  sourceImageUrl: null,
  callbackUrl: CALLBACK_URL,
};
export const EDIT: SubmitRequest = {
  ...GENERATE,
  ...{
    kind: 'EDIT',
    model: 'flux-kontext-pro',
    size: null,
    count: 1,
    sourceImageUrl: 'https://example.com/cat.png',
  },
};
export const TASK_ID = '6a97bf49-df50-4129-9e46-119aa9fca73c';
export const TRACE_ID = '9b4b1ff3-90f2-470f-b082-1061ec2948cc';
export const READ_TRACE_ID = '2db0168c-3f0e-4a53-9d7a-0f6a5f1f7d11';

const cleanups: (() => Promise<unknown>)[] = [];
const logLines: string[] = [];
afterEach(async () => {
  for (const release of cleanups.splice(0).reverse()) await release();
  const lines = logLines.splice(0).join('');
  for (const secret of [TOKEN, 'secret-signature', GENERATE.prompt, 'cat.png'])
    expect(lines).not.toContain(secret);
});

const log = pino({ level: 'trace' }, { write: (line: string) => logLines.push(line) });

/** A client and the server it talks to. Both are closed after the test, and the log is checked for secrets. */
export async function openUpstream(handler: RequestHandler, options: Partial<AceDataOptions> = {}) {
  const server = await TestHttpServer.open(handler);
  const client = new AceDataClient({
    baseUrl: `${server.url}/`,
    token: TOKEN,
    mode: 'callback',
    log,
    ...options,
  });
  cleanups.push(
    () => server.close(),
    () => client.destroy(),
  );
  const bodies = () =>
    server.requests.map((received) => JSON.parse(received.body) as Record<string, unknown>);
  return { server, client, bodies };
}
/** A body recorded from the real upstream. */
export function readSample(name: string): string {
  return readFileSync(new URL(`../../contract/samples/${name}.json`, import.meta.url), 'utf8');
}
/** The upstream's error envelope. */
export function errorEnvelope(code: string, message = 'why'): object {
  return { success: false, error: { code, message }, trace_id: TRACE_ID };
}
/** Returns the UpstreamError of a request that must fail. Checks that its message is a sentence without secrets. */
export async function expectUpstreamError(request: Promise<unknown>): Promise<UpstreamError> {
  const error: unknown = await request.then(
    () => null,
    (cause: unknown) => cause,
  );
  if (!(error instanceof UpstreamError)) throw new Error('expected UpstreamError', { cause: error });
  expect(error.message).toBe(error.failure.message);
  expect(error.message).toMatch(/^[A-Z].*[."]$/s);
  for (const secret of [TOKEN, 'secret-signature']) expect(error.message).not.toContain(secret);
  return error;
}
/** All retry delays of the error, in whole seconds without jitter. */
export function retryDelaysSeconds(error: UpstreamError): number[] {
  const delays: number[] = [];
  for (
    let delayMs = error.retryAfterMs(1);
    delayMs !== null;
    delayMs = error.retryAfterMs(delays.length + 1)
  ) {
    // The delay includes up to 25 % of jitter.
    const second = [0, 1, 2, 4, 7, 40, 60].findLast((base) => base * 1000 <= (delayMs ?? 0)) ?? -1;
    expect(delayMs).toBeLessThanOrEqual(second * 1250);
    delays.push(second);
  }
  return delays;
}
