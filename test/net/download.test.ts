import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildConnector } from 'undici';
import { FileNotWritten, HttpClient } from '../../src/net/http-client.js';
import { BodyTooLarge, RequestFailed } from '../../src/net/request-failed.js';
import { type Answerer, drop, failureOf, halfReply, Peer, reply } from '../support/net/http-peer.js';

const TOO_LONG = {
  reason: 'the answer is longer than 1000 bytes',
  cause: expect.any(BodyTooLarge) as unknown,
};
let peer: Peer;
let client: HttpClient;
let folder: string;
beforeEach(async () => {
  peer = await Peer.open(reply(200, 'picture'));
  client = new HttpClient();
  folder = await mkdtemp(join(tmpdir(), 'download-'));
});
afterEach(async () => {
  jest.restoreAllMocks();
  await client.destroy();
  await peer.close();
  await rm(folder, { recursive: true });
});

const path = () => join(folder, 'picture');
const files = () => readdir(folder);
const download = (maxBytes = 1_000, to = path(), timeoutMs = 10_000) =>
  client.download(`${peer.url}/a`, to, { maxBytes, timeoutMs });
/** Answers without end, and tells when the connection was closed. */
function endless(status = 200): { answer: Answerer; hasClosed: Promise<unknown> } {
  let isClosed: (value?: unknown) => void;
  const hasClosed = new Promise((resolve) => (isClosed = resolve));
  const answer: Answerer = (response) => {
    response.on('close', isClosed).writeHead(status);
    const more = () => response.write(Buffer.alloc(65_536), (error) => void (error ?? more()));
    more();
  };
  return { answer, hasClosed };
}

describe('a picture', () => {
  test('is in the file, with its length and its hash, and with status and headers', async () => {
    const bytes = randomBytes(5_000_000);
    peer.answer = (response) => response.writeHead(200, { 'content-type': 'image/png' }).end(bytes);
    await expect(download(5_000_000)).resolves.toMatchObject({
      status: 200,
      headers: { 'content-type': 'image/png' },
      file: { byteSize: 5_000_000, sha256: createHash('sha256').update(bytes).digest() },
    });
    expect((await readFile(path())).equals(bytes)).toBe(true);
  });

  test('may be empty', async () => {
    peer.answer = reply(200, '');
    await expect(download()).resolves.toMatchObject({ file: { byteSize: 0 } });
    await expect(readFile(path(), 'utf8')).resolves.toBe('');
  });

  test('is found behind three redirects, which leave nothing', async () => {
    peer.answer = (response, { path: asked }) => {
      if (asked === '/aaaa') return response.end('here');
      response.writeHead(302, { location: `${asked}a` }).end('moved');
    };
    await expect(download()).resolves.toMatchObject({ status: 200, file: { byteSize: 4 } });
    await expect(readFile(path(), 'utf8')).resolves.toBe('here');
  });

  test('is not looked for behind a fourth', async () => {
    peer.answer = (response, { path: asked }) =>
      response.writeHead(307, { location: `${asked}a` }).end('moved');
    const failure = await failureOf(download());
    expect(failure).toMatchObject({ sent: 'maybe', reason: 'it was redirected more than 3 times' });
    expect(peer.received).toHaveLength(4);
    await expect(files()).resolves.toEqual([]);
  });
});

describe('a redirect', () => {
  test('leads to another origin too', async () => {
    const other = await Peer.open(reply(200, 'over there'));
    try {
      peer.answer = reply(302, '', { location: other.url });
      await expect(download()).resolves.toMatchObject({ status: 200, file: { byteSize: 10 } });
    } finally {
      await other.close();
    }
  });

  test('leads nowhere but to http and https', async () => {
    peer.answer = reply(302, '', { location: 'file:///etc/passwd' });
    await expect(failureOf(download())).resolves.toBeInstanceOf(RequestFailed);
    await expect(files()).resolves.toEqual([]);
  });

  test('asks who opens connections again', async () => {
    const other = await Peer.open(reply(200, 'secret'));
    const open = buildConnector({});
    const connect: buildConnector.connector = (options, callback) =>
      options.port === String(peer.port) ? open(options, callback) : callback(new Error('refused'), null);
    await client.destroy();
    client = new HttpClient({ connect });
    try {
      peer.answer = reply(307, '', { location: other.url });
      await expect(failureOf(download())).resolves.toBeInstanceOf(RequestFailed);
      expect(other.sockets.size).toBe(0);
    } finally {
      await other.close();
    }
  });
});

describe('another status', () => {
  test.each([204, 206, 301, 403, 404, 500])('%i comes without a file, even with a body', async (status) => {
    peer.answer = reply(status, status === 204 ? '' : 'words', { 'x-why': 'because' });
    await expect(download()).resolves.toMatchObject({ status, headers: { 'x-why': 'because' }, file: null });
    await expect(files()).resolves.toEqual([]);
  });

  test('is not read to its end when that does not come', async () => {
    const { answer, hasClosed } = endless(404);
    peer.answer = answer;
    await expect(download()).resolves.toMatchObject({ status: 404, file: null });
    await hasClosed;
  });

  test('leaves its connection to the next request', async () => {
    peer.answer = reply(404, 'words');
    await download();
    // A connection is free a moment after its answer is complete, and the next request may be earlier.
    while (peer.sockets.size === peer.received.length) await download();
    expect(peer.sockets.size).toBeLessThan(peer.received.length);
  });
});

describe('an answer that is too long', () => {
  test('is cut as soon as it is known, and leaves no file', async () => {
    const { answer, hasClosed } = endless();
    peer.answer = answer;
    await expect(failureOf(download())).resolves.toMatchObject({ sent: 'maybe', ...TOO_LONG });
    await hasClosed;
    await expect(files()).resolves.toEqual([]);
  });

  test('is not begun when its length is announced', async () => {
    let hasClosed: Promise<unknown> = Promise.resolve();
    peer.answer = (response) => {
      hasClosed = once(response, 'close');
      response.writeHead(200, { 'content-length': '1001' }).flushHeaders();
    };
    // The folder is not there: a file could not even be opened.
    const failure = await failureOf(download(1_000, join(folder, 'nowhere', 'picture')));
    expect(failure).toMatchObject({ sent: 'maybe', ...TOO_LONG });
    await hasClosed;
  });

  test('is one byte longer than what is allowed', async () => {
    peer.answer = reply(200, 'x'.repeat(1_000));
    await expect(download()).resolves.toMatchObject({ file: { byteSize: 1_000 } });
    peer.answer = (response) => {
      response.write('x'.repeat(1_000));
      response.end('x');
    };
    await rm(path());
    await expect(failureOf(download())).resolves.toMatchObject(TOO_LONG);
    await expect(files()).resolves.toEqual([]);
  });
});

describe('a failure leaves no file', () => {
  const closed = 'the connection was closed before the answer was complete';
  const halfChunked: Answerer = (response) => response.write('some', () => response.destroy());
  test.each([
    ['the connection is dropped', drop],
    ['the answer stops half-way', halfReply],
    ['an answer without a length stops half-way', halfChunked],
  ])('%s', async (_what, answer) => {
    peer.answer = answer;
    await expect(failureOf(download())).resolves.toMatchObject({ sent: 'maybe', reason: closed });
    await expect(files()).resolves.toEqual([]);
  });

  test('the time is up in the middle of the body', async () => {
    peer.answer = (response) => void response.writeHead(200).write('some');
    const failure = await failureOf(download(1_000, path(), 200));
    expect(failure).toMatchObject({ sent: 'maybe', reason: 'no complete answer within 0.2 s' });
    await expect(files()).resolves.toEqual([]);
  });

  test('the client is destroyed in the middle of the body', async () => {
    const asked = new Promise<void>((resolve) => {
      peer.answer = (response) => void response.writeHead(200).write('some', () => resolve());
    });
    const failure = failureOf(download());
    await asked;
    await client.destroy();
    await expect(failure).resolves.toMatchObject({ sent: 'maybe' });
    await expect(files()).resolves.toEqual([]);
  });

  test('the disk is full, which is not said of the peer', async () => {
    const { answer, hasClosed } = endless();
    peer.answer = answer;
    const probe = await open(join(folder, 'probe'), 'w');
    await probe.close();
    await rm(join(folder, 'probe'));
    const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    const prototype = Object.getPrototypeOf(probe) as typeof probe;
    jest.spyOn(prototype, 'appendFile').mockRejectedValue(full);
    const failure = download(10_000_000);
    await expect(failure).rejects.toBeInstanceOf(FileNotWritten);
    await expect(failure).rejects.toMatchObject({ cause: full });
    await hasClosed;
    await expect(files()).resolves.toEqual([]);
  });
});

test('a file that is there already is left as it is', async () => {
  await writeFile(path(), 'older');
  await expect(download()).rejects.toMatchObject({ name: 'FileNotWritten', cause: { code: 'EEXIST' } });
  await expect(readFile(path(), 'utf8')).resolves.toBe('older');
});

test('a folder that is not there is our own fault', async () => {
  const failure = download(1_000, join(folder, 'nowhere', 'picture'));
  await expect(failure).rejects.toMatchObject({ name: 'FileNotWritten', cause: { code: 'ENOENT' } });
});
