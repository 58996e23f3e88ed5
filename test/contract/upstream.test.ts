import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import express from 'express';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { pino } from 'pino';
import { UpstreamError } from '../../src/core/tasks/upstream-error.js';
import { AceDataClient, type FluxMode, type SubmitRequest } from '../../src/upstreams/acedata-client.js';
import { type UpstreamResult } from '../../src/upstreams/acedata-results.js';
import { Sandbox } from '../../src/sandbox/sandbox.js';
import { TestHttpServer, reply } from '../support/net/test-http-server.js';

/** What AceDataClient relies on, checked against the sandbox. */

type SucceededResult = Extract<UpstreamResult, { kind: 'succeeded' }>;
const TOKEN = 'sandbox-token';
const log = pino({ level: 'silent' });
let baseUrl: string;
let server: Server;
let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = new Sandbox({ token: TOKEN, publicUrl: () => baseUrl, log, delayMs: 0 });
  server = createServer(express().use('/sandbox', sandbox.router)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/sandbox`;
});
afterAll(async () => {
  await sandbox.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** Creates a client, runs `work` with it, and closes it. */
async function withClient<T>(
  mode: FluxMode,
  work: (client: AceDataClient) => Promise<T>,
  token = TOKEN,
): Promise<T> {
  const client = new AceDataClient({ baseUrl, token, mode, log });
  try {
    return await work(client);
  } finally {
    await client.destroy();
  }
}
function requestFor(prompt: string, fields: Partial<SubmitRequest> = {}): SubmitRequest {
  const request = { kind: 'GENERATE', model: 'flux-dev', size: '256x256', count: 2 } as const;
  return { ...request, prompt, sourceImageUrl: null, callbackUrl: null, ...fields };
}
async function errorOf(request: Promise<unknown>): Promise<UpstreamError> {
  const error: unknown = await request.then(
    () => null,
    (cause: unknown) => cause,
  );
  if (error instanceof UpstreamError) return error;
  throw new Error('expected UpstreamError', { cause: error });
}
/** Sends status requests until the task has ended. */
async function waitForResult(client: AceDataClient, id: string): Promise<UpstreamResult | undefined> {
  for (;;) {
    const result = (await client.readTasks([id])).get(id);
    if (result?.kind !== 'running') return result;
  }
}
/** The sandbox's charges for prompts that contain `text`: what the real upstream would have billed. */
async function chargesFor(text: string): Promise<{ total: number; images: number }> {
  const response = await fetch(`${baseUrl}/ledger?prompt=${encodeURIComponent(text)}`);
  return (await response.json()) as { total: number; images: number };
}
async function waitForImages(prompt: string, count?: number): Promise<SucceededResult> {
  const result = await withClient('wait', (client) =>
    client.submit(requestFor(prompt, count ? { count } : {})),
  );
  if (result.kind !== 'succeeded') throw new Error(`Expected images, not ${result.kind}.`);
  return result;
}

describe('the three modes', () => {
  test('wait: the reply contains the requested number of images, and their URLs work', async () => {
    const { images, upstreamTaskId, upstreamTraceId } = await waitForImages('waited', 3);
    expect(images).toHaveLength(3);
    expect(upstreamTaskId).not.toBeNull();
    expect(upstreamTraceId).not.toBeNull();
    for (const image of images) {
      expect(image.seed ?? '7').toMatch(/^\d+$/);
      const { status, headers } = await fetch(image.upstreamUrl);
      expect({ status, type: headers.get('content-type') }).toEqual({ status: 200, type: 'image/png' });
    }
    await expect(chargesFor('waited')).resolves.toMatchObject({ total: 1, images: 3 });
  });

  test.each<FluxMode>(['callback', 'async'])(
    '%s: the reply is a task ID, and the images arrive in a callback',
    async (mode) => {
      const callbackServer = await TestHttpServer.open(reply(200, {}));
      try {
        const callbackBody = new Promise<string>((resolve) => {
          callbackServer.handler = (response: ServerResponse, { body }) => resolve((response.end(), body));
        });
        await withClient(mode, async (client) => {
          const submitted = await client.submit(
            requestFor(`called back, ${mode}`, { callbackUrl: `${callbackServer.url}/here` }),
          );
          expect(submitted.kind).toBe('accepted');
          const result = client.parseCallback(Buffer.from(await callbackBody));
          expect(result).toMatchObject({ kind: 'succeeded', upstreamTaskId: submitted.upstreamTaskId });
          expect((result as SucceededResult).images).toHaveLength(2);
        });
      } finally {
        await callbackServer.close();
      }
    },
  );

  test('async: the reply is a task ID, and a status request returns the images', async () => {
    await withClient('async', async (client) => {
      const submitted = await client.submit(requestFor('polled'));
      expect(submitted).toMatchObject({ kind: 'accepted', upstreamTaskId: expect.any(String) as unknown });
      const result = await waitForResult(client, submitted.upstreamTaskId ?? '');
      expect(result).toMatchObject({ kind: 'succeeded', upstreamTaskId: submitted.upstreamTaskId });
      expect((result as SucceededResult).images).toHaveLength(2);
    });
  });

  test('fewer images than requested are a success', async () => {
    const { images } = await waitForImages('few [sandbox: images=1]', 4);
    expect(images).toHaveLength(1);
  });

  test('a result without any image is a failure', async () => {
    await withClient('async', async (client) => {
      const { upstreamTaskId } = await client.submit(requestFor('none [sandbox: images=0]'));
      const result = await waitForResult(client, upstreamTaskId ?? '');
      expect(result).toMatchObject({ kind: 'failed', failure: { code: 'UPSTREAM_FAILED' } });
    });
  });
});

describe('an edit', () => {
  test('is made from a source image', async () => {
    const { images } = await waitForImages('the source', 1);
    const fields = { kind: 'EDIT', model: 'flux-kontext-pro', size: null, count: 1 } as const;
    const edit = requestFor('the edit', { ...fields, sourceImageUrl: images[0]?.upstreamUrl });
    await expect(withClient('wait', (client) => client.submit(edit))).resolves.toMatchObject({
      kind: 'succeeded',
    });
    await expect(chargesFor('the edit')).resolves.toMatchObject({ total: 1, images: 1 });
  });
});

describe('a status request', () => {
  test('returns running tasks, also during a passing error, and leaves out unknown IDs', async () => {
    await withClient('async', async (client) => {
      const running = await client.submit(requestFor('slow [sandbox: delay=600s]'));
      const hiccup = await client.submit(requestFor('hiccup [sandbox: delay=600s hiccup]'));
      const ids = [running.upstreamTaskId, hiccup.upstreamTaskId, 'unknown'].map(String);
      const results = await client.readTasks(ids);
      expect([...results.keys()].sort()).toEqual(ids.slice(0, 2).sort());
      for (const result of results.values()) expect(result.kind).toBe('running');
    });
  });

  test('accepts fifty IDs at once', async () => {
    const ids = Array.from({ length: 50 }, (_, index) => `unknown-${index}`);
    await expect(withClient('async', (client) => client.readTasks(ids))).resolves.toEqual(new Map());
  });
});

const CODES = [
  ['token_mismatched', 'UPSTREAM_BAD_REQUEST'],
  ['api_not_implemented', 'UPSTREAM_BAD_REQUEST'],
  ['bad_request', 'UPSTREAM_BAD_REQUEST'],
  ['no_token', 'UPSTREAM_CREDENTIALS'],
  ['invalid_token', 'UPSTREAM_CREDENTIALS'],
  ['token_expired', 'UPSTREAM_CREDENTIALS'],
  ['used_up', 'UPSTREAM_OUT_OF_CREDIT'],
  ['disabled', 'UPSTREAM_DISABLED'],
  ['forbidden', 'CONTENT_REJECTED'],
  ['no_api', 'UPSTREAM_BAD_REQUEST'],
  ['too_many_requests', 'UPSTREAM_RATE_LIMITED'],
  ['api_error', 'UPSTREAM_FAILED'],
] as const;

describe('errors', () => {
  test.each(CODES)(
    'a submission refused with %s fails as %s and bills nothing',
    async (upstreamCode, code) => {
      const prompt = `refused [sandbox: error=${upstreamCode}]`;
      const error = await errorOf(withClient('callback', (client) => client.submit(requestFor(prompt))));
      expect(error).toMatchObject({ outcome: 'refused', failure: { code, upstreamCode } });
      expect(error.failure.upstreamTraceId).not.toBeNull();
      await expect(chargesFor(prompt)).resolves.toMatchObject({ total: 0 });
    },
  );

  test.each(CODES)('a generation that ends with %s fails as %s', async (upstreamCode, code) => {
    await withClient('async', async (client) => {
      const { upstreamTaskId } = await client.submit(requestFor(`failed [sandbox: fail=${upstreamCode}]`));
      const result = await waitForResult(client, upstreamTaskId ?? '');
      expect(result).toMatchObject({ kind: 'failed', failure: { code, upstreamCode } });
    });
  });

  test('a wrong token fails as UPSTREAM_CREDENTIALS', async () => {
    const submit = withClient('wait', (client) => client.submit(requestFor('wrong token')), 'another-token');
    const failure = { code: 'UPSTREAM_CREDENTIALS', upstreamCode: 'invalid_token' };
    await expect(errorOf(submit)).resolves.toMatchObject({ outcome: 'refused', failure });
  });

  test('the third submission is accepted after two temporary refusals', async () => {
    const request = requestFor('patience [sandbox: error=too_many_requests times=2]');
    await withClient('wait', async (client) => {
      for (let refusals = 0; refusals < 2; refusals += 1) {
        const { backPressure } = await errorOf(client.submit(request));
        expect(backPressure).toEqual({ kind: 'RATE', retryAfterMs: 1_000 });
      }
      await expect(client.submit(request)).resolves.toMatchObject({ kind: 'succeeded' });
    });
    await expect(chargesFor('patience')).resolves.toMatchObject({ total: 1 });
  });

  test.each(['error=timeout', 'error=bare', 'reply=dropped', 'reply=html', 'reply=timeout'])(
    'a request that may have succeeded is not repeated: %s',
    async (directive) => {
      const prompt = `unknown [sandbox: ${directive}]`;
      const error = await errorOf(withClient('wait', (client) => client.submit(requestFor(prompt))));
      expect(error).toMatchObject({ outcome: 'unknown', failure: { code: 'SUBMIT_UNCONFIRMED' } });
      expect(error.retryAfterMs(1)).toBeNull();
      await expect(chargesFor(prompt)).resolves.toMatchObject({
        total: directive.startsWith('reply') ? 1 : 0,
      });
    },
  );
});
