import { readdirSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { readText } from '../support/docs/markdown.js';

const ROW = /^\| `([\w.-]+)` +\| ([\d.]+) +\|/gm;

/** The figures of the last runs, by benchmark: the last line of each file. */
const results = Object.fromEntries(
  readdirSync('bench/results').map((file): [string, unknown] => [
    file.replace('.txt', ''),
    JSON.parse(readText(`bench/results/${file}`).trim().split('\n').at(-1) ?? ''),
  ]),
);

/** `read.page.ours` is `ours` of `page` in the results of `read`. */
function figureOf(path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], results);
}

test('PERFORMANCE.md has the figures of bench/results', () => {
  const rows = [...readText('docs/PERFORMANCE.md').matchAll(ROW)];
  expect(rows.length).toBeGreaterThan(25);
  expect(rows.map(([, path = '', value]) => [path, Number(value)])).toEqual(
    rows.map(([, path = '']) => [path, figureOf(path)]),
  );
});
