import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { DiskStalled } from '../../src/storage/disk-operations.js';
import { Spool, SpoolFull } from '../../src/storage/spool.js';
import { HungFile } from '../support/storage/hung-file.js';
import { waitFor } from '../support/wait-for.js';

let parent: string;
let directory: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'darkroom-spool-'));
  directory = join(parent, 'new', 'spool');
});
afterEach(() => rm(parent, { recursive: true }));

test('keeps values by name for the next process', async () => {
  await new Spool(directory).write('b', { n: 1 });
  await new Spool(directory).write('a', { n: 2 });
  await new Spool(directory).write('b', { n: 3 });
  const next = new Spool(directory);
  expect(await next.list()).toEqual(['a', 'b']);
  expect(await next.read('b')).toEqual({ n: 3 });
  await next.remove('b');
  expect(await next.list()).toEqual(['a']);
  expect(await next.read('b')).toBeNull();
});

test('has room for a number of files, also when many are written at once', async () => {
  const spool = new Spool(directory, { maxFiles: 3, maxBytes: 1_000 });
  const writes = Array.from({ length: 5 }, (_, n) => spool.write(`${n}`, {}));
  const results = await Promise.allSettled(writes);
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
  expect(await readdir(directory)).toEqual(['0.json', '1.json', '2.json']);
  await spool.remove('1');
  await spool.write('5', {});
  await expect(spool.write('6', {})).rejects.toThrow(SpoolFull);
});

test('has room for a number of bytes, of which it counts those of an earlier process', async () => {
  await new Spool(directory).write('earlier', { text: 'x'.repeat(500) });
  const spool = new Spool(directory, { maxFiles: 10, maxBytes: 1_000 });
  await spool.list();
  await expect(spool.write('later', { text: 'x'.repeat(500) })).rejects.toThrow(SpoolFull);
  await spool.write('earlier', { text: 'x'.repeat(900) });
  await expect(spool.write('later', { text: 'x'.repeat(100) })).rejects.toThrow(SpoolFull);
  await spool.remove('earlier');
  await spool.write('later', { text: 'x'.repeat(500) });
});

test('leaves no part of a value that the disk does not take, and no room is lost', async () => {
  await writeFile(join(parent, 'new'), 'a file where the folder should be');
  const spool = new Spool(directory, { maxFiles: 1, maxBytes: 1_000 });
  await expect(spool.write('a', {})).rejects.toThrow('ENOTDIR');
  await rm(join(parent, 'new'));
  await spool.write('b', {});
  expect(await readdir(directory)).toEqual(['b.json']);
});

test('removes what killed processes left of values, after an hour, and no value', async () => {
  const spool = new Spool(directory);
  expect(await spool.cleanUp()).toBe(0);
  await spool.write('a', {});
  const old = new Date(Date.now() - 7_200_000);
  for (const name of ['old.json.tmp', 'new.json.tmp']) await writeFile(join(directory, name), '{');
  for (const name of ['old.json.tmp', 'a.json']) await utimes(join(directory, name), old, old);
  expect(await spool.cleanUp()).toBe(1);
  expect((await readdir(directory)).sort()).toEqual(['a.json', 'new.json.tmp']);
});

test('gives up a value that the disk does not deliver, and waits for each of them in one thread only', async () => {
  await new Spool(directory).write('b', { n: 1 });
  const hung = HungFile.create(join(directory, 'a.json'));
  const spool = new Spool(directory, { timeoutMs: 100 });
  try {
    for (let n = 0; n < 5; n += 1) await expect(spool.read('a')).rejects.toThrow(DiskStalled);
    await waitFor('the other value', () => spool.read('b').catch(() => null));
  } finally {
    hung.release();
  }
});

// Enforces MAX_DISK_OPERATIONS in src/storage/disk-operations.ts.
test('leaves threads to others while the disk does not answer', async () => {
  await new Spool(directory).write('b', { n: 1 });
  const files = ['1', '2', '3', '4', '5'].map((name) => HungFile.create(join(directory, `${name}.json.tmp`)));
  const spool = new Spool(directory, { timeoutMs: 100 });
  const writes = Promise.allSettled(['1', '2', '3', '4', '5'].map((name) => spool.write(name, {})));
  try {
    await expect(spool.read('b')).rejects.toThrow(DiskStalled);
    // Needs a thread as well.
    expect(await readdir(directory)).toHaveLength(6);
  } finally {
    for (const file of files) file.release();
  }
  await writes;
  await waitFor('the disk', async () => (await spool.read('b').catch(() => null)) !== null);
});
