import { afterEach, expect } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { UpstreamError } from '../../../src/core/errors.js';
import { AceData, type AceDataOptions, type SubmitRequest } from '../../../src/upstreams/acedata.js';
import { type Answerer, Peer } from '../net/http-peer.js';

export const TOKEN = 'token-that-nobody-may-see';
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
export const READ_ID = '2db0168c-3f0e-4a53-9d7a-0f6a5f1f7d11';

const releases: (() => Promise<unknown>)[] = [];
const logged: string[] = [];
afterEach(async () => {
  for (const release of releases.splice(0).reverse()) await release();
  const lines = logged.splice(0).join('');
  for (const secret of [TOKEN, 'secret-signature', GENERATE.prompt, 'cat.png'])
    expect(lines).not.toContain(secret);
});

const log = pino({ level: 'trace' }, { write: (line: string) => logged.push(line) });

/** A provider and the upstream that it talks to. Both are closed after the test, and what was logged is searched for secrets. */
export async function open(answer: Answerer, options: Partial<AceDataOptions> = {}) {
  const peer = await Peer.open(answer);
  const flux = new AceData({ baseUrl: `${peer.url}/`, token: TOKEN, mode: 'callback', log, ...options });
  releases.push(
    () => peer.close(),
    () => flux.close(),
  );
  const bodies = () => peer.received.map((received) => JSON.parse(received.body) as Record<string, unknown>);
  return { peer, flux, bodies };
}
/** The text of one body that the real upstream has sent. */
export function sample(name: string): string {
  return readFileSync(new URL(`../../contract/samples/${name}.json`, import.meta.url), 'utf8');
}
/** The upstream's error envelope. */
export function envelope(code: string, message = 'why'): object {
  return { success: false, error: { code, message }, trace_id: TRACE_ID };
}
/** The UpstreamError that the request fails with. Its message is a sentence without secrets. */
export async function errorOf(request: Promise<unknown>): Promise<UpstreamError> {
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
/** The waits that the error asks for, in whole seconds, until it gives up. */
export function waitsOf(error: UpstreamError): number[] {
  const waits: number[] = [];
  for (let wait = error.retryAfterMs(1); wait !== null; wait = error.retryAfterMs(waits.length + 1)) {
    // Up to a quarter of jitter is on top.
    const second = [0, 1, 2, 4, 8, 16, 30, 40, 60].findLast((base) => base * 1000 <= (wait ?? 0)) ?? -1;
    expect(wait).toBeLessThanOrEqual(second * 1250);
    waits.push(second);
  }
  return waits;
}
