import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const RECORD = 'docs/decisions/0016-prisma-and-sql.md';
/** A call of `statement` or `assembledStatement`, and the name that it gives. A name in a template ends at its first value. */
const NAMED_STATEMENT =
  /\b(?:s|assembledS)tatement(?:<[^()`']*(?:(?:\(\)|'[^']*')[^()`']*)*>)?\(\s*['`]([a-z-]+)/g;

test('the decision on Prisma lists every statement that is SQL, and no other', async () => {
  const files = (await readdir('src/db', { recursive: true })).filter(
    (file) => file.endsWith('.ts') && !file.startsWith('generated') && !file.endsWith('statement.ts'),
  );
  const sources = await Promise.all(files.map((file) => readFile(join('src/db', file), 'utf8')));
  const names = sources.flatMap((source) => [...source.matchAll(NAMED_STATEMENT)].map(([, name]) => name));
  expect(names.length).toBeGreaterThan(50);
  // Every call names its statement in a form that the pattern finds.
  const calls = sources.join('').match(/\b(?:= |return )(?:s|assembledS)tatement[<(]/g) ?? [];
  expect(names.length).toBeGreaterThanOrEqual(calls.length);

  const rows = (await readFile(RECORD, 'utf8')).split('\n').filter((line) => /^\| `/.test(line));
  const listed = rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([a-z-]+)`/g)].map(([, name]) => name),
  );
  expect(listed.filter((name) => name?.includes('-')).sort()).toEqual([...new Set(names)].sort());
  for (const row of rows) expect(row.split('|').slice(2, 4).join('').trim()).not.toBe('');
});
