import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { TestApp } from '../../support/app/test-app.js';

/** Every folder in which a process that is killed can leave a part of a file. */
const TEMPORARY_FILES = [
  'spool/0198c0de-0000-7000-8000-000000000000-1.json.tmp',
  'spool/callbacks/0198c0de-0000-7000-8000-000000000000-1.json.tmp',
  'images/incoming/0198c0de-0000-7000-8000-000000000000',
  '.secret-key-0198c0de-0000-7000-8000-000000000000',
];
const TWO_HOURS_S = 7_200;

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'darkroom-temporary-'));
});
afterEach(() => rm(dataDir, { recursive: true }));

async function write(name: string, { ageSeconds = 0 } = {}): Promise<void> {
  const path = join(dataDir, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, 'a part of a file');
  const time = Date.now() / 1_000 - ageSeconds;
  await utimes(path, time, time);
}

async function remaining(names: readonly string[]): Promise<string[]> {
  const found = await readdir(dataDir, { recursive: true });
  return names.filter((name) => found.includes(name));
}

test('a start removes what killed processes left of files an hour ago or earlier, and nothing that another may still write', async () => {
  const fresh = TEMPORARY_FILES.map((name) => name.replace('-8000-', '-9000-'));
  for (const name of TEMPORARY_FILES) await write(name, { ageSeconds: TWO_HOURS_S });
  for (const name of fresh) await write(name);
  const app = await TestApp.start({ dataDir });
  try {
    expect(await remaining(TEMPORARY_FILES)).toEqual([]);
    expect(await remaining(fresh)).toEqual(fresh);
  } finally {
    await app.stop();
  }
});
