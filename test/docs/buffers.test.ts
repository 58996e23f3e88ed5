import { expect, test } from '@jest/globals';
import { filesBelow, readText } from '../support/docs/markdown.js';

const HEADING = 'What is buffered\n';
const ROW = /^\| ([^|]+?) +\| (\d+) (\w+) +\| `(\w+)` in `([^`]+)` +\|$/;
/** What the constants have for one of a unit. Other units are counted. */
const UNITS: Readonly<Record<string, number>> = { kB: 1024, s: 1000 };
/** What buffers the body of a request, or a message, as a whole. */
const BUFFERING = /express\.(json|raw|text|urlencoded)\(|maxPayload|\.bufferedAmount >/;
/** Not part of an installation with a real upstream. */
const EXEMPT = /^src\/sandbox\//;
/** What is written right above a test that fails if the bound is not enforced. */
const CLAIM = /^ *\/\/ Enforces (\w+ in src\/[\w/-]+\.ts)\.$/;
const TEST = /^ *test(\.each.*)?\(/;

/** All rows of the table: a row that is written in another way is not left out. */
const [, , ...lines] = readText('docs/SECURITY.md')
  .split('\n## ')
  .filter((section) => section.startsWith(HEADING))
  .flatMap((section) => section.split('\n').filter((line) => line.includes('|')));

const rows = lines.flatMap((line) => {
  const [, , bound, unit = '', name = '', path = ''] = ROW.exec(line) ?? [];
  return path ? [{ bound: Number(bound) * (UNITS[unit] ?? 1), name, path }] : [];
});

/** The value of a constant that is a product of numbers. */
function valueOf(name: string, path: string): number {
  const [, product = ''] = new RegExp(`const ${name} = ([\\d_ *]+);`).exec(readText(path)) ?? [];
  return product.split('*').reduce((value, factor) => value * Number(factor.replaceAll('_', '')), 1);
}

test('the table of buffers in SECURITY.md has rows of one form', () => {
  expect(lines.length).toBeGreaterThanOrEqual(50);
  expect(lines.filter((line) => !ROW.test(line))).toEqual([]);
});

test('the table of buffers in SECURITY.md has the bounds of the code', () => {
  expect(rows.map(({ name, path }) => ({ name, path, bound: valueOf(name, path) }))).toEqual(
    rows.map(({ name, path, bound }) => ({ name, path, bound })),
  );
});

test('every file of src that buffers a body or a message is in the table', () => {
  const buffering = filesBelow('src', '.ts').filter(
    (path) => !EXEMPT.test(path) && BUFFERING.test(readText(path)),
  );
  expect(buffering.filter((path) => !rows.some((row) => row.path === path))).toEqual([]);
});

test('every bound of the table has a test that says so, right above it', () => {
  const claimed = new Set<string>();
  const misplaced: string[] = [];
  for (const path of filesBelow('test', '.test.ts')) {
    const code = readText(path).split('\n');
    code.forEach((line, index) => {
      const [, bound] = CLAIM.exec(line) ?? [];
      if (bound === undefined) return;
      claimed.add(bound);
      const next = code.slice(index).find((other) => !CLAIM.test(other)) ?? '';
      if (!TEST.test(next)) misplaced.push(`${path}:${index + 1}`);
    });
  }
  expect(misplaced).toEqual([]);
  expect([...claimed].sort()).toEqual(
    [...new Set(rows.map(({ name, path }) => `${name} in ${path}`))].sort(),
  );
});
