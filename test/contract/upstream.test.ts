import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import express from 'express';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { pino } from 'pino';
import { UpstreamError } from '../../src/core/errors.js';
import {
  AceData,
  type FluxMode,
  type SubmitRequest,
  type Succeeded,
  type UpstreamResult,
} from '../../src/upstreams/acedata.js';
import { Sandbox } from '../../src/sandbox/sandbox.js';
import { Peer, reply } from '../support/net/http-peer.js';

/** What the provider may rely on, held against the upstream in a box. */

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

/** A provider for the length of one piece of work. */
async function withFlux<T>(mode: FluxMode, work: (flux: AceData) => Promise<T>, token = TOKEN): Promise<T> {
  const flux = new AceData({ baseUrl, token, mode, log });
  try {
    return await work(flux);
  } finally {
    await flux.close();
  }
}
function asking(prompt: string, more: Partial<SubmitRequest> = {}): SubmitRequest {
  const request = { kind: 'GENERATE', model: 'flux-dev', size: '256x256', count: 2 } as const;
  return { ...request, prompt, sourceImageUrl: null, callbackUrl: null, ...more };
}
async function errorOf(request: Promise<unknown>): Promise<UpstreamError> {
  const error: unknown = await request.then(
    () => null,
    (cause: unknown) => cause,
  );
  if (error instanceof UpstreamError) return error;
  throw new Error('expected UpstreamError', { cause: error });
}
/** Reads until the task is over. */
async function readUntilOver(flux: AceData, id: string): Promise<UpstreamResult | undefined> {
  for (;;) {
    const result = (await flux.readTasks([id])).get(id);
    if (result?.kind !== 'running') return result;
  }
}
/** What the ledger holds for prompts with this text: what the real upstream would have billed. */
async function billed(text: string): Promise<{ total: number; pictures: number }> {
  const page = await fetch(`${baseUrl}/ledger?prompt=${encodeURIComponent(text)}`);
  return (await page.json()) as { total: number; pictures: number };
}
async function waitForPictures(prompt: string, count?: number): Promise<Succeeded> {
  const result = await withFlux('wait', (flux) => flux.submit(asking(prompt, count ? { count } : {})));
  if (result.kind !== 'succeeded') throw new Error(`expected pictures, not ${result.kind}`);
  return result;
}

describe('the three ways to call', () => {
  test('wait: the answer holds as many pictures as were asked for, and their links work', async () => {
    const { pictures, upstreamTaskId, upstreamTraceId } = await waitForPictures('waited', 3);
    expect(pictures).toHaveLength(3);
    expect(upstreamTaskId).not.toBeNull();
    expect(upstreamTraceId).not.toBeNull();
    for (const picture of pictures) {
      expect(picture.seed ?? '7').toMatch(/^\d+$/);
      const { status, headers } = await fetch(picture.url);
      expect({ status, type: headers.get('content-type') }).toEqual({ status: 200, type: 'image/png' });
    }
    await expect(billed('waited')).resolves.toMatchObject({ total: 1, pictures: 3 });
  });

  test.each<FluxMode>(['callback', 'async'])(
    '%s: a task id at once, the pictures in a callback',
    async (mode) => {
      const caller = await Peer.open(reply(200, {}));
      try {
        const arrived = new Promise<string>((resolve) => {
          caller.answer = (response: ServerResponse, { body }) => resolve((response.end(), body));
        });
        await withFlux(mode, async (flux) => {
          const submitted = await flux.submit(
            asking(`called back, ${mode}`, { callbackUrl: `${caller.url}/here` }),
          );
          expect(submitted.kind).toBe('accepted');
          const result = flux.parseCallback(Buffer.from(await arrived));
          expect(result).toMatchObject({ kind: 'succeeded', upstreamTaskId: submitted.upstreamTaskId });
          expect((result as Succeeded).pictures).toHaveLength(2);
        });
      } finally {
        await caller.close();
      }
    },
  );

  test('async: a task id at once, the pictures by reading', async () => {
    await withFlux('async', async (flux) => {
      const submitted = await flux.submit(asking('read'));
      expect(submitted).toMatchObject({ kind: 'accepted', upstreamTaskId: expect.any(String) as unknown });
      const result = await readUntilOver(flux, submitted.upstreamTaskId ?? '');
      expect(result).toMatchObject({ kind: 'succeeded', upstreamTaskId: submitted.upstreamTaskId });
      expect((result as Succeeded).pictures).toHaveLength(2);
    });
  });

  test('fewer pictures than were asked for are a success', async () => {
    const { pictures } = await waitForPictures('few [sandbox: images=1]', 4);
    expect(pictures).toHaveLength(1);
  });

  test('no picture at all is a failure once it is over', async () => {
    await withFlux('async', async (flux) => {
      const { upstreamTaskId } = await flux.submit(asking('none [sandbox: images=0]'));
      const result = await readUntilOver(flux, upstreamTaskId ?? '');
      expect(result).toMatchObject({ kind: 'failed', failure: { code: 'UPSTREAM_FAILED' } });
    });
  });
});

describe('an edit', () => {
  test('is made of a picture, and asked for under the word that works', async () => {
    const { pictures } = await waitForPictures('the source', 1);
    const more = { kind: 'EDIT', model: 'flux-kontext-pro', size: null, count: 1 } as const;
    const edit = asking('the edit', { ...more, sourceImageUrl: pictures[0]?.url });
    await expect(withFlux('wait', (flux) => flux.submit(edit))).resolves.toMatchObject({ kind: 'succeeded' });
    await expect(billed('the edit')).resolves.toMatchObject({ total: 1, pictures: 1 });
  });
});

describe('reading tasks', () => {
  test('knows running ones, hiccups and none that were never asked for', async () => {
    await withFlux('async', async (flux) => {
      const running = await flux.submit(asking('slow [sandbox: delay=600s]'));
      const hiccup = await flux.submit(asking('hiccup [sandbox: delay=600s hiccup]'));
      const ids = [running.upstreamTaskId, hiccup.upstreamTaskId, 'never-asked-for'].map(String);
      const results = await flux.readTasks(ids);
      expect([...results.keys()].sort()).toEqual(ids.slice(0, 2).sort());
      for (const result of results.values()) expect(result.kind).toBe('running');
    });
  });

  test('takes fifty ids at once', async () => {
    const ids = Array.from({ length: 50 }, (_, index) => `never-${index}`);
    await expect(withFlux('async', (flux) => flux.readTasks(ids))).resolves.toEqual(new Map());
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
  test.each(CODES)('%s is refused as %s and bills nothing', async (upstreamCode, code) => {
    const prompt = `refused [sandbox: error=${upstreamCode}]`;
    const error = await errorOf(withFlux('callback', (flux) => flux.submit(asking(prompt))));
    expect(error).toMatchObject({ outcome: 'refused', failure: { code, upstreamCode } });
    expect(error.failure.upstreamTraceId).not.toBeNull();
    await expect(billed(prompt)).resolves.toMatchObject({ total: 0 });
  });

  test.each(CODES)('a generation that ends with %s has failed as %s', async (upstreamCode, code) => {
    await withFlux('async', async (flux) => {
      const { upstreamTaskId } = await flux.submit(asking(`failed [sandbox: fail=${upstreamCode}]`));
      const result = await readUntilOver(flux, upstreamTaskId ?? '');
      expect(result).toMatchObject({ kind: 'failed', failure: { code, upstreamCode } });
    });
  });

  test('a wrong token', async () => {
    const submit = withFlux('wait', (flux) => flux.submit(asking('no entry')), 'another-token');
    const failure = { code: 'UPSTREAM_CREDENTIALS', upstreamCode: 'invalid_token' };
    await expect(errorOf(submit)).resolves.toMatchObject({ outcome: 'refused', failure });
  });

  test('after two refusals that pass, the third submit is taken', async () => {
    const request = asking('patience [sandbox: error=too_many_requests times=2]');
    await withFlux('wait', async (flux) => {
      for (const attempt of [1, 2]) {
        const waitMs = (await errorOf(flux.submit(request))).retryAfterMs(attempt);
        expect(waitMs).toBeGreaterThanOrEqual(1_000);
        expect(waitMs).toBeLessThanOrEqual(1_250);
      }
      await expect(flux.submit(request)).resolves.toMatchObject({ kind: 'succeeded' });
    });
    await expect(billed('patience')).resolves.toMatchObject({ total: 1 });
  });

  test.each(['error=timeout', 'error=bare', 'reply=dropped', 'reply=html', 'reply=timeout'])(
    'what may have been made is not sent again: %s',
    async (directive) => {
      const prompt = `unknown [sandbox: ${directive}]`;
      const error = await errorOf(withFlux('wait', (flux) => flux.submit(asking(prompt))));
      expect(error).toMatchObject({ outcome: 'unknown', failure: { code: 'SUBMIT_UNCONFIRMED' } });
      expect(error.retryAfterMs(1)).toBeNull();
      await expect(billed(prompt)).resolves.toMatchObject({ total: directive.startsWith('reply') ? 1 : 0 });
    },
  );
});
