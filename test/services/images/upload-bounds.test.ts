import { once } from 'node:events';
import { PassThrough, type Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { BadRequest, StoreUnavailable, TooManyConnections } from '../../../src/core/errors.js';
import {
  MAX_UPLOAD_BYTES_IN_ALL,
  MAX_UPLOADS_PER_END_USER,
  MAX_UPLOADS_PER_WORKSPACE,
  UploadBounds,
  type UploadBoundsOptions,
} from '../../../src/services/images/upload-bounds.js';
import { waitFor } from '../../support/wait-for.js';

const KB = 1024;
const REMOVED = Promise.resolve();
const EVE = { workspaceId: 'w', endUserId: 'eve' };
const of = (workspaceId: string) => ({ ...EVE, workspaceId });

function start(options: Partial<UploadBoundsOptions> = {}) {
  const bounds = new UploadBounds({ requireFreeSpace: () => Promise.resolve(), ...options });
  const begin = (uploader: { workspaceId: string; endUserId: string | null } = EVE) => {
    const source = new PassThrough();
    source.on('error', () => undefined);
    const upload = bounds.begin(uploader, source);
    return { ...upload, source, result: read(upload.body) };
  };
  return { bounds, begin };
}

async function read(body: Readable): Promise<number | Error> {
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) length += chunk.length;
    return length;
  } catch (error) {
    return error as Error;
  }
}

describe('uploads in progress', () => {
  // Enforces MAX_UPLOADS_PER_END_USER in src/services/images/upload-bounds.ts.
  // Enforces MAX_UPLOADS_PER_WORKSPACE in src/services/images/upload-bounds.ts.
  test('have a limit for each end user and for each workspace, which ended ones do not count in', () => {
    const { begin } = start();
    const uploads = Array.from({ length: MAX_UPLOADS_PER_END_USER }, () => begin());
    expect(() => begin()).toThrow(TooManyConnections);
    uploads[0]?.end(REMOVED);
    begin();
    for (let count = MAX_UPLOADS_PER_END_USER; count < MAX_UPLOADS_PER_WORKSPACE; count += 1)
      begin({ workspaceId: 'w', endUserId: `user ${count}` });
    expect(() => begin({ workspaceId: 'w', endUserId: null })).toThrow(TooManyConnections);
    begin({ workspaceId: 'another', endUserId: 'eve' });
  });

  test('whose client has left before its body is read leave no timer', async () => {
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    const { bounds } = start({ windowMs: 3_600_000 });
    for (let count = 0; count < 5; count += 1) {
      const source = new PassThrough().destroy();
      await once(source, 'close');
      const { body, end } = bounds.begin(EVE, source);
      await read(body);
      end(REMOVED);
    }
    expect(timers()).toBeLessThanOrEqual(before);
  });

  test('take a bounded part of the disk: the one that began first and has not arrived is ended', async () => {
    const { begin } = start({ maxBytesInAll: 100 * KB });
    const [arrived, first, second] = [begin(of('u')), begin(of('v')), begin(of('w'))];
    arrived.source.end(Buffer.alloc(40 * KB));
    expect(await arrived.result).toBe(40 * KB);
    first.source.write(Buffer.alloc(40 * KB));
    second.source.write(Buffer.alloc(40 * KB));
    expect(await first.result).toBeInstanceOf(TooManyConnections);
    first.end(REMOVED);
    second.source.end(Buffer.alloc(10 * KB));
    expect(await second.result).toBe(50 * KB);
    for (const { end } of [arrived, second]) end(REMOVED);
    const last = begin();
    last.source.end(Buffer.alloc(50 * KB));
    expect(await last.result).toBe(50 * KB);
  });

  // Enforces MAX_UPLOAD_BYTES_IN_ALL in src/services/images/upload-bounds.ts.
  test('take a gigabyte of the disk together', async () => {
    const { begin } = start();
    const uploads = ['u', 'v', 'w'].map((workspaceId) => begin(of(workspaceId)));
    for (const { source, result } of uploads) {
      source.end('x');
      expect(await result).toBe(1);
    }
    const [first, second, third] = uploads;
    for (const upload of [first, second]) upload?.replaceFile(MAX_UPLOAD_BYTES_IN_ALL / 2 - 1, REMOVED);
    await REMOVED;
    third?.replaceFile(2, REMOVED);
    expect(() => third?.replaceFile(3, REMOVED)).toThrow(TooManyConnections);
  });

  test('leave room for other workspaces: those of the workspace that takes most are ended', async () => {
    const { begin } = start({ maxBytesInAll: 100 * KB });
    const [small, arrived, arriving] = [begin(of('v')), begin(), begin()];
    small.source.write(Buffer.alloc(10 * KB));
    arrived.source.end(Buffer.alloc(40 * KB));
    expect(await arrived.result).toBe(40 * KB);
    arriving.source.write(Buffer.alloc(20 * KB));
    expect(await arriving.result).toBeInstanceOf(TooManyConnections);
    arriving.end(REMOVED);
    const another = begin(of('u'));
    another.source.write(Buffer.alloc(45 * KB));
    small.source.end(Buffer.alloc(10 * KB));
    expect(await small.result).toBe(20 * KB);
    expect(await another.result).toBeInstanceOf(TooManyConnections);
  });

  test('grow when they are decoded. Beyond the share of their workspace they end, and no other workspace notices', async () => {
    const { begin } = start({ maxBytesInAll: 100 * KB });
    const arrived = Array.from({ length: 3 }, () => begin());
    for (const { source } of arrived) source.end(Buffer.alloc(10 * KB));
    expect(await Promise.all(arrived.map(({ result }) => result))).toEqual([10 * KB, 10 * KB, 10 * KB]);
    const arriving = begin(of('u'));
    arriving.source.write(Buffer.alloc(40 * KB));
    await waitFor('its bytes to be read', () => arriving.source.readableLength === 0);
    const [first, second, third] = arrived;
    first?.replaceFile(30 * KB, REMOVED);
    expect(() => second?.replaceFile(30 * KB, REMOVED)).toThrow(TooManyConnections);
    expect(() => third?.replaceFile(30 * KB, REMOVED)).toThrow(TooManyConnections);
    for (const upload of [second, third]) upload?.end(REMOVED);
    arriving.source.end(Buffer.alloc(10 * KB));
    expect(await arriving.result).toBe(50 * KB);
  });

  test('end others of their workspace that have not arrived, rather than one that has been decoded', async () => {
    const { begin } = start({ maxBytesInAll: 100 * KB });
    const [arrived, arriving] = [begin(), begin()];
    arrived.source.end(Buffer.alloc(10 * KB));
    expect(await arrived.result).toBe(10 * KB);
    arriving.source.write(Buffer.alloc(20 * KB));
    await waitFor('its bytes to be read', () => arriving.source.readableLength === 0);
    arrived.replaceFile(35 * KB, REMOVED);
    expect(await arriving.result).toBeInstanceOf(TooManyConnections);
  });

  test('end even if their source has ended, but they have not read all of it', async () => {
    const { bounds, begin } = start({ maxBytesInAll: 400 * KB });
    const source = new PassThrough();
    const { body } = bounds.begin(EVE, source);
    source.end(Buffer.alloc(120 * KB));
    // Keeps the first piece until it is read, and takes no other one before.
    body.read(0);
    await waitFor('the end of its source', () => source.destroyed);
    const next = begin();
    next.source.end(Buffer.alloc(120 * KB));
    expect(await next.result).toBe(120 * KB);
    expect(await read(body)).toBeInstanceOf(TooManyConnections);
  });

  test('count all their files until these are removed, however long that takes', async () => {
    const { begin } = start({ maxBytesInAll: 100 * KB });
    const [done, waiting, next] = [begin(of('v')), begin(), begin()];
    done.source.end(Buffer.alloc(30 * KB));
    expect(await done.result).toBe(30 * KB);
    done.replaceFile(50 * KB, new Promise(() => undefined));
    let remove = () => {};
    done.end(new Promise<void>((resolve) => (remove = resolve)));
    waiting.source.end(Buffer.alloc(40 * KB));
    let isOver = false;
    void waiting.result.then(() => (isOver = true));
    await waitFor('its bytes to be read', () => waiting.source.readableLength === 0);
    // Has no bytes, and so it does not wait.
    next.source.end();
    expect(await next.result).toBe(0);
    expect(isOver).toBe(false);
    remove();
    expect(await waiting.result).toBe(40 * KB);
  });

  test('fail when files that are to be removed stay on the disk', async () => {
    const { begin } = start({ maxBytesInAll: 100 * KB, roomTimeoutMs: 50 });
    const [first, second] = [begin(), begin()];
    first.source.write(Buffer.alloc(80 * KB));
    await waitFor('the first file', () => first.source.readableLength === 0);
    second.source.write(Buffer.alloc(40 * KB));
    expect(await first.result).toBeInstanceOf(TooManyConnections);
    first.end(new Promise(() => undefined));
    expect(await second.result).toBeInstanceOf(StoreUnavailable);
  });

  test('end if their client sends a byte now and then, and go on if it is slow but steady', async () => {
    const { begin } = start({ windowMs: 50 });
    const [trickling, steady] = [begin(), begin()];
    let isSteadyDone = false;
    const timer = setInterval(() => {
      trickling.source.write('x');
      if (!isSteadyDone) steady.source.write(Buffer.alloc(40 * KB));
    }, 20);
    expect(await trickling.result).toBeInstanceOf(BadRequest);
    isSteadyDone = true;
    clearInterval(timer);
    steady.source.end();
    await waitFor('the steady upload', async () => typeof (await steady.result) === 'number');
  });

  test('end if their client sends nothing more', async () => {
    const { begin } = start({ windowMs: 50 });
    const [silent, stopped] = [begin(), begin()];
    stopped.source.write(Buffer.alloc(40 * KB));
    expect(await silent.result).toBeInstanceOf(BadRequest);
    expect(await stopped.result).toBeInstanceOf(BadRequest);
  });

  test('end when the disk has little free space, at the start and after some megabytes', async () => {
    let isFull = false;
    const requireFreeSpace = () =>
      isFull ? Promise.reject(new StoreUnavailable('the disk is full')) : Promise.resolve();
    const { begin } = start({ requireFreeSpace });
    const upload = begin();
    upload.source.write(Buffer.alloc(KB));
    await waitFor('the first piece', () => upload.source.readableLength === 0);
    isFull = true;
    upload.source.write(Buffer.alloc(KB));
    upload.source.end(Buffer.alloc(9 * KB * KB));
    expect(await upload.result).toBeInstanceOf(StoreUnavailable);
    const late = begin();
    late.source.end(Buffer.alloc(KB));
    expect(await late.result).toBeInstanceOf(StoreUnavailable);
  });
});
