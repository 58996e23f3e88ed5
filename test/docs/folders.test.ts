import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

/** A reader takes in this many names at a glance. */
const MAX_ENTRIES = 12;

function foldersBelow(folder: string): string[] {
  const entries = readdirSync(folder, { withFileTypes: true });
  const folders = entries.filter((entry) => entry.isDirectory() && entry.name !== 'generated');
  return folders.flatMap(({ name }) => [join(folder, name), ...foldersBelow(join(folder, name))]);
}

test(`no folder below src has more than ${MAX_ENTRIES} entries`, () => {
  const crowded = foldersBelow('src').filter((folder) => readdirSync(folder).length > MAX_ENTRIES);
  expect(crowded).toEqual([]);
});
