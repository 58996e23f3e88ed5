import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { loadOrCreateSecretKey } from '../../src/config/secret-key.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-key-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test('the secret key is created once', async () => {
  const dataDir = join(folder, 'new', 'data');
  const key = await loadOrCreateSecretKey(dataDir);
  expect(key.length).toBe(44);
  expect(await loadOrCreateSecretKey(dataDir)).toEqual(key);
});

test('a damaged secret key is not replaced', async () => {
  await writeFile(join(folder, 'secret-key'), 'short');
  await expect(loadOrCreateSecretKey(folder)).rejects.toThrow('does not hold a key of 44 characters');
});

test('a data directory that cannot be used is named by its variable', async () => {
  const dataDir = join(folder, 'file');
  await writeFile(dataDir, '');
  for (const path of [dataDir, join(dataDir, 'below')])
    await expect(loadOrCreateSecretKey(path)).rejects.toThrow(
      new RegExp(`^DATA_DIR: ${path} cannot be used \\((ENOTDIR|EEXIST)\\)`),
    );
});
