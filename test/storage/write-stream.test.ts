import { pbkdf2 } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PayloadTooLarge } from '../../src/core/errors.js';
import { writeStreamToFile } from '../../src/storage/write-stream.js';

/** More than the 4 threads that Node.js has for file access. */
const BUSY_THREADS = 8;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-incoming-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Keeps all threads for file access busy, so that a file is opened long after the request. */
function occupyThreads(): void {
  for (let count = 0; count < BUSY_THREADS; count += 1)
    pbkdf2('', '', 100_000, 64, 'sha512', () => undefined);
}

test('writeStreamToFile writes a stream of exactly the maximum length', async () => {
  const path = join(folder, 'whole');
  await writeStreamToFile(Readable.from([Buffer.from('abc'), Buffer.from('def')]), path, 6);
  expect(await readFile(path, 'utf8')).toBe('abcdef');
});

test.each<[string, (source: PassThrough) => unknown, unknown]>([
  ['is too long', (source) => source.end('seven b'), PayloadTooLarge],
  ['fails', (source) => source.destroy(new Error('gone')), 'gone'],
  ['fails later', (source) => source.write('abc', () => source.destroy(new Error('gone'))), 'gone'],
])(
  'writeStreamToFile does not reject before it has opened its file when the source %s',
  async (_what, fail, error) => {
    const path = join(folder, 'partial');
    const source = new PassThrough();
    source.on('error', () => undefined);
    occupyThreads();
    fail(source);
    await expect(writeStreamToFile(source, path, 6)).rejects.toThrow(error);
    expect(existsSync(path)).toBe(true);
    await rm(path);
  },
);

test('writeStreamToFile blames the disk when the file cannot be opened or written', async () => {
  const path = join(folder, 'no-such-folder', 'a');
  await expect(writeStreamToFile(Readable.from(['abc']), path)).rejects.toMatchObject({
    name: 'StoreUnavailable',
    cause: { code: 'ENOENT' },
  });
  // A device that is always full.
  await expect(writeStreamToFile(Readable.from(['abc']), '/dev/full')).rejects.toMatchObject({
    name: 'StoreUnavailable',
    cause: { code: 'ENOSPC' },
  });
});
