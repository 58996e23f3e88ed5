import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildConnector } from 'undici';
import { FileWriteFailed, type NewFiles } from '../../src/net/body.js';
import { IncomingFiles } from '../../src/storage/incoming-files.js';
import { HttpClient } from '../../src/net/http-client.js';
import { BodyTooLarge, RequestFailed } from '../../src/net/request-failed.js';
import {
  type RequestHandler,
  dropConnection,
  expectRequestFailed,
  replyTruncated,
  TestHttpServer,
  reply,
} from '../support/net/test-http-server.js';

const TOO_LARGE = {
  reason: 'the response is larger than 1000 bytes',
  cause: expect.any(BodyTooLarge) as unknown,
};
let server: TestHttpServer;
let client: HttpClient;
let folder: string;
beforeEach(async () => {
  server = await TestHttpServer.open(reply(200, 'image'));
  client = new HttpClient();
  folder = await mkdtemp(join(tmpdir(), 'darkroom-download-'));
});
afterEach(async () => {
  jest.restoreAllMocks();
  await client.destroy();
  await server.close();
  await rm(folder, { recursive: true });
});

const path = () => join(folder, 'image');
const files = () => readdir(folder);
const download = (maxBytes = 1_000, to = path(), timeoutMs = 10_000) =>
  client.download(`${server.url}/a`, to, { maxBytes, timeoutMs, files: new IncomingFiles(folder) });
/** Resolves when a time limit of so many milliseconds has expired. */
const timeLimit = (ms: number) => once(AbortSignal.timeout(ms), 'abort');
/** A folder on a disk that carries out `beforeAppend` with the number of the append, and then appends. */
function slowFiles(beforeAppend: (appends: number) => Promise<unknown>): NewFiles {
  const incoming = new IncomingFiles(folder);
  let appends = 0;
  return {
    create: async (to) => {
      const file = await incoming.create(to);
      const append = async (chunk: Buffer) => {
        await beforeAppend((appends += 1));
        await file.append(chunk);
      };
      return { ...file, append };
    },
    remove: (to) => incoming.remove(to),
  };
}
/** Sends an endless response. `hasClosed` resolves when its connection was closed. */
function endlessResponse(status = 200): { handler: RequestHandler; hasClosed: Promise<unknown> } {
  let onClosed: (value?: unknown) => void;
  const hasClosed = new Promise((resolve) => (onClosed = resolve));
  const handler: RequestHandler = (response) => {
    response.on('close', onClosed).writeHead(status);
    const sendMore = () => response.write(Buffer.alloc(65_536), (error) => void (error ?? sendMore()));
    sendMore();
  };
  return { handler, hasClosed };
}

describe('a downloaded file', () => {
  test('is written, and its length, hash, status and headers are returned', async () => {
    const bytes = randomBytes(5_000_000);
    server.handler = (response) => response.writeHead(200, { 'content-type': 'image/png' }).end(bytes);
    await expect(download(5_000_000)).resolves.toMatchObject({
      status: 200,
      headers: { 'content-type': 'image/png' },
      body: { byteSize: 5_000_000, sha256: createHash('sha256').update(bytes).digest() },
    });
    expect((await readFile(path())).equals(bytes)).toBe(true);
  });

  test('may be empty', async () => {
    server.handler = reply(200, '');
    await expect(download()).resolves.toMatchObject({ body: { byteSize: 0 } });
    await expect(readFile(path(), 'utf8')).resolves.toBe('');
  });

  test('is found after three redirects', async () => {
    server.handler = (response, { path: requestedPath }) => {
      if (requestedPath === '/aaaa') return response.end('here');
      response.writeHead(302, { location: `${requestedPath}a` }).end('moved');
    };
    await expect(download()).resolves.toMatchObject({ status: 200, body: { byteSize: 4 } });
    await expect(readFile(path(), 'utf8')).resolves.toBe('here');
  });

  test('is not requested after a fourth redirect', async () => {
    server.handler = (response, { path: requestedPath }) =>
      response.writeHead(307, { location: `${requestedPath}a` }).end('moved');
    const failure = await expectRequestFailed(download());
    expect(failure).toMatchObject({ sent: 'maybe', reason: 'it was redirected more than 3 times' });
    expect(server.requests).toHaveLength(4);
    await expect(files()).resolves.toEqual([]);
  });
});

describe('a redirect', () => {
  test('may lead to another origin', async () => {
    const other = await TestHttpServer.open(reply(200, 'over there'));
    try {
      server.handler = reply(302, '', { location: other.url });
      await expect(download()).resolves.toMatchObject({ status: 200, body: { byteSize: 10 } });
    } finally {
      await other.close();
    }
  });

  test('must lead to http or https', async () => {
    server.handler = reply(302, '', { location: 'file:///etc/passwd' });
    await expect(expectRequestFailed(download())).resolves.toBeInstanceOf(RequestFailed);
    await expect(files()).resolves.toEqual([]);
  });

  test('uses the connector for its connection too', async () => {
    const other = await TestHttpServer.open(reply(200, 'secret'));
    const open = buildConnector({});
    const connect: buildConnector.connector = (options, callback) =>
      options.port === String(server.port) ? open(options, callback) : callback(new Error('refused'), null);
    await client.destroy();
    client = new HttpClient({ connect });
    try {
      server.handler = reply(307, '', { location: other.url });
      await expect(expectRequestFailed(download())).resolves.toBeInstanceOf(RequestFailed);
      expect(other.sockets.size).toBe(0);
    } finally {
      await other.close();
    }
  });
});

describe('another status', () => {
  test.each([204, 206, 301, 403, 404, 500])('%i writes no file, even with a body', async (status) => {
    server.handler = reply(status, status === 204 ? '' : 'words', { 'x-why': 'because' });
    await expect(download()).resolves.toMatchObject({ status, headers: { 'x-why': 'because' }, body: null });
    await expect(files()).resolves.toEqual([]);
  });

  test('does not read an endless body', async () => {
    const { handler, hasClosed } = endlessResponse(404);
    server.handler = handler;
    await expect(download()).resolves.toMatchObject({ status: 404, body: null });
    await hasClosed;
  });

  test('leaves its connection open for the next request', async () => {
    server.handler = reply(404, 'words');
    await download();
    // A connection becomes free a moment after its response is complete, so an early request opens another one.
    while (server.sockets.size === server.requests.length) await download();
    expect(server.sockets.size).toBeLessThan(server.requests.length);
  });
});

describe('a response that is too large', () => {
  test('is cut off at the limit, and leaves no file', async () => {
    const { handler, hasClosed } = endlessResponse();
    server.handler = handler;
    await expect(expectRequestFailed(download())).resolves.toMatchObject({ sent: 'maybe', ...TOO_LARGE });
    await hasClosed;
    await expect(files()).resolves.toEqual([]);
  });

  test('is not read when its length was announced', async () => {
    let hasClosed: Promise<unknown> = Promise.resolve();
    server.handler = (response) => {
      hasClosed = once(response, 'close');
      response.writeHead(200, { 'content-length': '1001' }).flushHeaders();
    };
    // The folder does not exist, so opening a file would fail with another error.
    const failure = await expectRequestFailed(download(1_000, join(folder, 'nowhere', 'image')));
    expect(failure).toMatchObject({ sent: 'maybe', ...TOO_LARGE });
    await hasClosed;
  });

  test('has one byte more than the limit', async () => {
    server.handler = reply(200, 'x'.repeat(1_000));
    await expect(download()).resolves.toMatchObject({ body: { byteSize: 1_000 } });
    server.handler = (response) => {
      response.write('x'.repeat(1_000));
      response.end('x');
    };
    await rm(path());
    await expect(expectRequestFailed(download())).resolves.toMatchObject(TOO_LARGE);
    await expect(files()).resolves.toEqual([]);
  });
});

describe('no file is left when', () => {
  const closed = 'the connection was closed before the response was complete';
  const halfChunked: RequestHandler = (response) => response.write('some', () => response.destroy());
  test.each([
    ['the connection is dropped', dropConnection],
    ['the response is truncated', replyTruncated],
    ['a response without a length is truncated', halfChunked],
  ])('%s', async (_what, handler) => {
    server.handler = handler;
    await expect(expectRequestFailed(download())).resolves.toMatchObject({ sent: 'maybe', reason: closed });
    await expect(files()).resolves.toEqual([]);
  });

  test('the timeout expires in the middle of the body', async () => {
    server.handler = (response) => void response.writeHead(200).write('some');
    const failure = await expectRequestFailed(download(1_000, path(), 200));
    expect(failure).toMatchObject({ sent: 'maybe', reason: 'no complete response within 0.2 s' });
    await expect(files()).resolves.toEqual([]);
  });

  test('the client is destroyed in the middle of the body', async () => {
    const requestedPath = new Promise<void>((resolve) => {
      server.handler = (response) => void response.writeHead(200).write('some', () => resolve());
    });
    const failure = expectRequestFailed(download());
    await requestedPath;
    await client.destroy();
    await expect(failure).resolves.toMatchObject({ sent: 'maybe' });
    await expect(files()).resolves.toEqual([]);
  });

  test('the connection is closed while a slow disk keeps it waiting, which is not blamed on the server', async () => {
    let closeConnection: () => void = () => undefined;
    server.handler = (response) => {
      closeConnection = () => void response.destroy();
      response.writeHead(200).write('some');
    };
    const slow = slowFiles(async () => {
      closeConnection();
      await timeLimit(600);
    });
    const failure = client.download(`${server.url}/a`, path(), {
      maxBytes: 1_000,
      timeoutMs: 3_000,
      files: slow,
    });
    await expect(failure).rejects.toBeInstanceOf(FileWriteFailed);
    await expect(files()).resolves.toEqual([]);
  });

  test('the disk takes several times as long as the server may, which is not blamed on the server', async () => {
    const { handler, hasClosed } = endlessResponse();
    server.handler = handler;
    const slow = slowFiles(() => timeLimit(100));
    const limits = { maxBytes: 100_000_000, timeoutMs: 250, files: slow };
    await expect(client.download(`${server.url}/a`, path(), limits)).rejects.toBeInstanceOf(FileWriteFailed);
    await hasClosed;
    await expect(files()).resolves.toEqual([]);
  });

  test('the disk is full, which is not blamed on the server', async () => {
    const { handler, hasClosed } = endlessResponse();
    server.handler = handler;
    const probe = await open(join(folder, 'probe'), 'w');
    await probe.close();
    await rm(join(folder, 'probe'));
    const full = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
    const prototype = Object.getPrototypeOf(probe) as typeof probe;
    jest.spyOn(prototype, 'appendFile').mockRejectedValue(full);
    const failure = download(10_000_000);
    await expect(failure).rejects.toBeInstanceOf(FileWriteFailed);
    await expect(failure).rejects.toMatchObject({ cause: full });
    await hasClosed;
    await expect(files()).resolves.toEqual([]);
  });
});

test('the time that the disk takes does not count as time of the server', async () => {
  server.handler = (response) => void response.writeHead(200).end(randomBytes(300_000));
  const limits = { maxBytes: 1_000_000, timeoutMs: 1_000 };
  // As long as the server may take, for the first part.
  const slow = slowFiles((appends) => timeLimit(appends === 1 ? limits.timeoutMs + 100 : 0));
  const downloaded = client.download(`${server.url}/a`, path(), { ...limits, files: slow });
  await expect(downloaded).resolves.toMatchObject({ body: { byteSize: 300_000 } });
});

test('an existing file is not overwritten', async () => {
  await writeFile(path(), 'older');
  await expect(download()).rejects.toMatchObject({ name: 'FileWriteFailed', cause: { code: 'EEXIST' } });
  await expect(readFile(path(), 'utf8')).resolves.toBe('older');
});

test('a missing folder is reported as FileWriteFailed', async () => {
  const failure = download(1_000, join(folder, 'nowhere', 'image'));
  await expect(failure).rejects.toMatchObject({ name: 'FileWriteFailed', cause: { code: 'ENOENT' } });
});
