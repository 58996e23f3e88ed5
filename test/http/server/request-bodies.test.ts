import { once } from 'node:events';
import { createServer, type IncomingMessage, request as httpRequest, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from '@jest/globals';
import { type Request, type Response } from 'express';
import { toPublicError } from '../../../src/core/public-error.js';
import { RequestBodies } from '../../../src/http/server/request-bodies.js';
import { waitFor } from '../../support/wait-for.js';

const MB = 1024 * 1024;
const MAX_BYTES = MB;
const BOUND = 4 * MB;
const CONTENT = { prompt: 'a cat, 猫' };
const BODY = Buffer.from(JSON.stringify(CONTENT));
const compressBrotli = (body: Buffer, windowBits: number) =>
  brotliCompressSync(body, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 5, [constants.BROTLI_PARAM_LGWIN]: windowBits },
  });
/** Decompresses to far more than its bound. */
const BOMB = compressBrotli(Buffer.alloc(64 * MB, ' '), 22);

const CALLBACK = 'callback';

const releases: (() => void)[] = [];
afterEach(() => releases.splice(0).forEach((release) => release()));

/** Parses the bodies of a path `/workspace/endUser` for that caller, and those of `/callback` for the upstream. */
async function start({
  authenticate = (_request: IncomingMessage) => Promise.resolve(),
  maxUnfinishedBytes = BOUND,
} = {}) {
  const bodies = new RequestBodies(maxUnfinishedBytes);
  const parseJson = bodies.json(MAX_BYTES);
  const keepRaw = bodies.raw(MAX_BYTES);
  const errors: unknown[] = [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const next = (error?: unknown) => {
      if (error !== undefined) errors.push(error);
      response.statusCode = error === undefined ? 200 : toPublicError(error).status;
      response.end(JSON.stringify((request as Request).body ?? null));
    };
    const [, workspaceId = '', endUserId = null] = /^\/(\w*)\/?(\w+)?/.exec(request.url ?? '') ?? [];
    const locals = workspaceId === CALLBACK ? {} : { caller: { workspaceId, endUserId } };
    const parse = workspaceId === CALLBACK ? keepRaw : parseJson;
    void authenticate(request).then(() => parse(request as Request, { locals } as Response, next));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  releases.push(() => (server.closeAllConnections(), server.close()));
  const { port } = server.address() as AddressInfo;
  /** Sends a whole request. `owner`: see `start`. */
  const post = async (body: Buffer, encoding: string, owner = '') => {
    const headers = { 'content-type': 'application/json', 'content-encoding': encoding };
    const outgoing = httpRequest({ port, method: 'POST', path: `/${owner}`, headers, agent: false });
    outgoing.end(body);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    return { status: response.statusCode, json: JSON.parse(await textOf(response)) as unknown };
  };
  /** Sends the beginning of a request with these headers. `owner`: see `start`. */
  const begin = (headers: string, body: string | Buffer, owner = ''): Socket => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined);
    releases.push(() => socket.destroy());
    socket.write(`POST /${owner} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${headers}\r\n`);
    socket.write(body);
    return socket.resume();
  };
  return { bodies, errors, post, begin };
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of response.setEncoding('utf8')) text += String(piece);
  return text;
}

describe('a compressed body', () => {
  test.each([
    ['gzip', gzipSync],
    ['GZIP', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['identity', (body: Buffer) => body],
  ])('with the encoding %s is read like any other', async (encoding, compress) => {
    const { bodies, post } = await start();
    expect(await post(compress(BODY), encoding)).toEqual({ status: 200, json: CONTENT });
    expect(bodies.unfinishedBytes).toBe(0);
  });

  test.each([10, 15, 16, 17, 18, 22])('is read if its brotli window has %s bits', async (windowBits) => {
    const { post } = await start();
    expect((await post(compressBrotli(BODY, windowBits), 'br')).status).toBe(200);
  });

  test.each([23, 24])('is refused if its brotli window has %s bits', async (windowBits) => {
    const { post } = await start();
    expect((await post(compressBrotli(BODY, windowBits), 'br')).status).toBe(413);
  });

  test.each([
    ['of an encoding that is not supported', BODY, 'zstd', 400],
    ['that is not what its encoding says', BODY, 'gzip', 400],
    ['that ends too early', gzipSync(BODY).subarray(0, -9), 'gzip', 400],
    ['that is not JSON', gzipSync('{'), 'gzip', 400],
    ['that is text which brotli takes for an empty body', Buffer.from('9"prompt":"x"}'), 'br', 400],
    ['with more bytes behind it', Buffer.concat([deflateSync(BODY), BODY]), 'deflate', 400],
    ['that decompresses to more than its bound', BOMB, 'br', 413],
  ])('%s is refused', async (_what, body, encoding, status) => {
    const { bodies, post } = await start();
    expect((await post(body, encoding)).status).toBe(status);
    expect(bodies.unfinishedBytes).toBe(0);
  });

  test('is not decompressed before it has ended: until then it takes what was sent of it', async () => {
    const { bodies, begin } = await start();
    const sent = BOMB.subarray(0, -1);
    const headers = `content-encoding: br\r\ncontent-length: ${BOMB.length}\r\n`;
    const sockets = Array.from({ length: 100 }, () => begin(headers, sent));
    await waitFor('all to arrive', () => bodies.unfinishedBytes >= 100 * sent.length);
    expect(bodies.unfinishedBytes).toBeLessThan(100 * (sent.length + 4_096));
    for (const socket of sockets) socket.destroy();
    await waitFor('nothing to be kept', () => bodies.unfinishedBytes === 0);
  });

  test('takes little memory, however many arrive at once', async () => {
    const { post } = await start();
    const before = process.memoryUsage.rss();
    let most = before;
    const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 5);
    await Promise.all(Array.from({ length: 60 }, () => post(BOMB, 'br')));
    clearInterval(timer);
    // The clients take their part of it. Decompressing all at once takes 4 MB for each.
    expect((most - before) / MB).toBeLessThan(120);
  });
});

describe('JSON that takes long to parse', () => {
  const LARGE = Buffer.from(JSON.stringify(['"'.repeat(500_000)]));

  /** Takes long as well, and is small enough that its bytes do not count. */
  const NUMBERS = Buffer.from(`[${'1e5,'.repeat(15_000)}0]`);
  const [TOO_MANY_BYTES, TOO_MANY] = ['Too many large requests wait', 'Too many large request bodies wait'];

  test('waits for its share, and what is too much is refused', async () => {
    const { bodies, post } = await start();
    const answers = await Promise.all(Array.from({ length: 60 }, () => post(gzipSync(LARGE), 'gzip')));
    const statuses = answers.map(({ status }) => status);
    expect(new Set(statuses)).toEqual(new Set([200, 429]));
    expect(bodies.unfinishedBytes).toBe(0);
  });

  /** Sends many bodies at once to a service whose burst is used up. */
  async function postManyWhenBusy(body: Buffer) {
    const { errors, post } = await start({ maxUnfinishedBytes: Infinity });
    const postMany = (each: Buffer) =>
      Promise.all(Array.from({ length: 60 }, () => post(each, 'identity', 'workspace')));
    await postMany(NUMBERS);
    errors.length = 0;
    const answers = await postMany(body);
    return { accepted: answers.filter(({ status }) => status === 200).length, refusals: errors.map(String) };
  }

  // Enforces MAX_WAITING_PARSES in src/http/server/request-bodies.ts.
  test('waits in a line of a few, also if it takes little memory', async () => {
    const { accepted, refusals } = await postManyWhenBusy(NUMBERS);
    // One or two may be parsed while others arrive.
    expect(accepted).toBeLessThan(8);
    expect(refusals.filter((refusal) => !refusal.includes(TOO_MANY))).toEqual([]);
  });

  // Enforces MAX_UNPARSED_BYTES_PER_WORKSPACE in src/http/server/request-bodies.ts.
  test('takes a bounded part of memory, before its line is full', async () => {
    const { refusals } = await postManyWhenBusy(LARGE);
    expect(refusals.length).toBeGreaterThan(0);
    expect(refusals.filter((refusal) => !refusal.includes(TOO_MANY_BYTES))).toEqual([]);
  });

  // Enforces MAX_UNPARSED_BYTES in src/http/server/request-bodies.ts.
  test('of many workspaces takes a bounded part of memory', async () => {
    const { errors, post } = await start({ maxUnfinishedBytes: Infinity });
    const owners = Array.from({ length: 40 }, (_, n) => `workspace${n}`);
    const answers = await Promise.all(owners.map((owner) => post(LARGE, 'identity', owner)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 429]));
    expect(errors.filter((error) => !String(error).includes(TOO_MANY_BYTES))).toEqual([]);
  });

  test('does not keep small bodies waiting', async () => {
    const { post } = await start();
    const large = Array.from({ length: 10 }, () => post(gzipSync(LARGE), 'gzip'));
    expect(await post(gzipSync(BODY), 'gzip')).toEqual({ status: 200, json: CONTENT });
    await Promise.all(large);
  });
});

test('a body whose client left after all of it, while it was authenticated, is not kept', async () => {
  const authenticate = (request: IncomingMessage) =>
    new Promise<void>((resolve) => request.on('error', () => undefined).once('close', resolve));
  const { bodies, errors, begin } = await start({ authenticate });
  const body = JSON.stringify('x'.repeat(20_000));
  const socket = begin(`content-length: ${body.length}\r\n`, body);
  await new Promise((resolve) => socket.write('', resolve));
  socket.resetAndDestroy();
  await waitFor('the body to be given up', () => errors.length === 1);
  expect([bodies.unfinishedRequests, bodies.unfinishedBytes]).toEqual([0, 0]);
});

test('a body in small pieces takes more than its bytes', async () => {
  const { bodies, begin } = await start();
  const pieces = 1_000;
  begin('transfer-encoding: chunked\r\n', '1\r\n \r\n'.repeat(pieces));
  await waitFor('all to arrive', () => bodies.unfinishedBytes >= pieces * 500);
  begin('transfer-encoding: chunked\r\n', '1\r\n \r\n'.repeat(10 * pieces));
  await waitFor('the oldest to be cut', () => bodies.unfinishedBytes >= pieces * 500);
  expect(bodies.unfinishedBytes).toBeLessThanOrEqual(BOUND);
});

describe('when bodies that have not ended take too much together', () => {
  const TEXT = JSON.stringify(['x'.repeat(100_000)]);
  const CHUNKED = 'transfer-encoding: chunked\r\n';
  /** Counts a megabyte. */
  const PIECES = '1\r\n \r\n'.repeat(2_000);

  /** Begins the body of the owner, and much more of another one. Resolves with the answer to the first when it has ended. */
  async function floodOver(owner: string, hostile: string) {
    const { bodies, begin } = await start();
    const slow = begin(`content-length: ${TEXT.length}\r\n`, TEXT.slice(0, -1), owner);
    let answer = '';
    slow.on('data', (piece: Buffer) => (answer += piece.toString()));
    await waitFor('it to arrive', () => bodies.unfinishedBytes >= TEXT.length - 1);
    const flood = Array.from({ length: 12 }, () => begin(CHUNKED, PIECES, hostile));
    await waitFor('some to be cut', () => flood.filter(({ closed }) => closed).length >= 8);
    // Callbacks have room of their own.
    const own = owner === CALLBACK ? TEXT.length + 10 * 512 : 0;
    expect(bodies.unfinishedBytes).toBeLessThanOrEqual(BOUND + own);
    slow.write(']');
    await waitFor('an end', () => answer !== '' || slow.closed);
    return answer.slice(0, 'HTTP/1.1 200'.length);
  }

  test.each([
    ['those of the workspace with the most are cut', 'honest', 'hostile'],
    ['within a workspace, those of the end user with the most', 'shared/honest', 'shared/hostile'],
    ["those of an end user, and not those of the workspace's own key", 'shared', 'shared/hostile'],
    ['no callback is cut', CALLBACK, 'hostile'],
  ])('%s', async (_what, owner, hostile) => {
    expect(await floodOver(owner, hostile)).toBe('HTTP/1.1 200');
  });

  test('callbacks have room of their own, of which the oldest is cut, and take none from callers', async () => {
    const { bodies, begin, post } = await start();
    const other = begin(CHUNKED, PIECES, 'honest');
    await waitFor('it to arrive', () => bodies.unfinishedBytes > MB * 0.9);
    const callbacks: Socket[] = [];
    for (let count = 1; count <= 5; count += 1) {
      callbacks.push(begin(CHUNKED, PIECES, CALLBACK));
      const bytes = Math.min(count, 4) + 1;
      await waitFor('it to arrive', () => bodies.unfinishedBytes > bytes * MB * 0.9);
    }
    await waitFor('the oldest to be cut', () => callbacks[0]?.closed === true);
    expect(callbacks.slice(1).filter(({ closed }) => closed)).toEqual([]);
    expect((await post(BODY, 'identity')).status).toBe(200);
    expect(other.closed).toBe(false);
  });

  test('a request that has sent nothing is not cut in place of the one that has', async () => {
    const { bodies, begin } = await start();
    const waiting = begin('content-length: 10\r\n', '', 'shared');
    await waitFor('it to arrive', () => bodies.unfinishedRequests === 1);
    const flood = Array.from({ length: 6 }, () => begin(CHUNKED, PIECES, 'shared'));
    await waitFor('one to be cut', () => flood.some(({ closed }) => closed));
    expect(waiting.closed).toBe(false);
  });
});
