import { pbkdf2 } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { PayloadTooLarge } from '../../src/core/errors.js';
import { writeStream } from '../../src/storage/write-stream.js';

/** More than the threads that Node.js has for files, 4. */
const BUSY = 8;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-incoming-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Keeps every thread for files at work, so that a file is opened long after it was asked for. */
function occupyThreads(): void {
  for (let one = 0; one < BUSY; one += 1) pbkdf2('', '', 100_000, 64, 'sha512', () => undefined);
}

test('a stream is written up to its allowance', async () => {
  const path = join(folder, 'whole');
  await writeStream(Readable.from([Buffer.from('abc'), Buffer.from('def')]), path, 6);
  expect(await readFile(path, 'utf8')).toBe('abcdef');
});

test.each<[string, (source: PassThrough) => unknown, unknown]>([
  ['is too long', (source) => source.end('seven b'), PayloadTooLarge],
  ['breaks off', (source) => source.destroy(new Error('gone')), 'gone'],
  ['breaks off later', (source) => source.write('abc', () => source.destroy(new Error('gone'))), 'gone'],
])('a file whose source %s is opened before the failure is told, not after', async (_what, fail, error) => {
  const path = join(folder, 'partial');
  const source = new PassThrough();
  source.on('error', () => undefined);
  occupyThreads();
  fail(source);
  await expect(writeStream(source, path, 6)).rejects.toThrow(error);
  expect(existsSync(path)).toBe(true);
  await rm(path);
});

test('a file that cannot be opened is told', async () => {
  const path = join(folder, 'no-such-folder', 'a');
  await expect(writeStream(Readable.from(['abc']), path)).rejects.toMatchObject({ code: 'ENOENT' });
});
