import { expect, test } from '@jest/globals';
import { filesBelow, readText } from '../support/docs/markdown.js';

const ROW =
  /^\| ([^|]+?) +\| (\d+) (kB|s|requests|connections|jobs|operations|images|pieces|points|uploads|pages|tokens) +\| `(\w+)` in `([^`]+)` +\|$/gm;
/** What the constants count in, by the unit in the table. */
const UNITS: Readonly<Record<string, number>> = {
  kB: 1024,
  s: 1000,
  requests: 1,
  connections: 1,
  jobs: 1,
  operations: 1,
  images: 1,
  pieces: 1,
  points: 1,
  uploads: 1,
  pages: 1,
  tokens: 1,
};
/** What buffers the body of a request, or a message, as a whole. */
const BUFFERING = /express\.(json|raw|text|urlencoded)\(|maxPayload|\.bufferedAmount >/;
/** Not part of an installation with a real upstream. */
const EXEMPT = /^src\/sandbox\//;

const rows = [...readText('docs/SECURITY.md').matchAll(ROW)].map(
  ([, , bound, unit = '', name = '', path = '']) => ({
    bound: Number(bound) * (UNITS[unit] ?? NaN),
    name,
    path,
  }),
);

/** The value of a constant that is a product of numbers. */
function valueOf(name: string, path: string): number {
  const [, product = ''] = new RegExp(`const ${name} = ([\\d_ *]+);`).exec(readText(path)) ?? [];
  return product.split('*').reduce((value, factor) => value * Number(factor.replaceAll('_', '')), 1);
}

test('the table of buffers in SECURITY.md has the bounds of the code', () => {
  expect(rows.length).toBeGreaterThanOrEqual(14);
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
