import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { linesOfJson } from '../../../src/core/primitives/json-lines.js';
import { readPriceFile } from '../../../src/core/billing/price-file.js';
import { PriceList } from '../../../src/core/billing/prices.js';

/** A file with these entries, each on a line of its own; the first is on line 2. */
function fileOf(...entries: string[]): string {
  return `{ "prices": [\n${entries.join(',\n')}\n] }`;
}
function entry(changes: Record<string, unknown> = {}): string {
  const good = { model: 'flux-dev', perImage: '0.04', currency: 'USD', validFrom: '2026-01-01' };
  return JSON.stringify({ ...good, ...changes });
}

describe('a price file', () => {
  test('is read with its decimals as they are written', () => {
    const { prices, faults } = readPriceFile(fileOf(entry({ perImage: '0.10000001' })));
    expect(faults).toEqual([]);
    expect(prices).toEqual([
      { model: 'flux-dev', perImage: '0.10000001', currency: 'USD', validFrom: new Date('2026-01-01') },
    ]);
  });

  test('that ships as an example can be read, and says what it is', () => {
    const text = readFileSync('prices.example.json', 'utf8');
    expect(readPriceFile(text).faults).toEqual([]);
    expect(text).toContain('EXAMPLE FIGURES');
  });

  test.each([
    [{ perImage: '-0.04' }, 'perImage must be a decimal number as text'],
    [{ perImage: 0.04 }, 'perImage must be a decimal number as text'],
    [{ perImage: 'NaN' }, 'perImage must be a decimal number as text'],
    [{ perImage: '1e3' }, 'perImage must be a decimal number as text'],
    [{ perImage: '0.123456789' }, 'perImage must be a decimal number as text'],
    [{ perImage: '10000000' }, 'perImage must be a decimal number as text'],
    [{ currency: 'dollars' }, 'currency must be three letters'],
    [{ currency: undefined }, 'currency must be three letters'],
    [{ model: 'flux-dve' }, 'model is not a model; there are flux-dev'],
    [{ validFrom: 'soon' }, 'validFrom must be a day or a time'],
    [{ validFrom: '2026-02-30' }, 'validFrom must be a day or a time'],
    [
      { perimage: '0.04' },
      'must be an object with model, perImage, currency and validFrom, and nothing else',
    ],
  ])('is refused with the line when an entry is %j', (changes, complaint) => {
    const { faults } = readPriceFile(fileOf(entry({ model: 'flux-pro' }), entry(changes)));
    expect(faults).toEqual([expect.stringContaining(complaint)]);
    expect(faults[0]).toMatch(/^line 3: /);
  });

  test('is refused with every fault at once', () => {
    const { faults } = readPriceFile(fileOf(entry({ perImage: '' }), entry({ currency: '' })));
    expect(faults.map((fault) => fault.slice(0, 7))).toEqual(['line 2:', 'line 3:']);
  });

  test('is refused when two prices of a model are from the same time on', () => {
    const { faults } = readPriceFile(fileOf(entry(), entry({ validFrom: '2026-01-01T00:00:00Z' })));
    expect(faults).toEqual([expect.stringContaining('line 3: there is another price of flux-dev')]);
  });

  test.each([
    ['', 1],
    ['{\n  "prices": [\n    nonsense\n]}', 3],
    ['{\n"prices": [],\n}', 3],
    ['{\n"prices": [\n', 3],
    ['{ "prices": [] }\n}', 2],
    ['{"prices": ["\n"]}', 1],
    ["{'prices': []}", 1],
  ])('that is not JSON is refused with the line: %j', (text, line) => {
    expect(() => void JSON.parse(text)).toThrow();
    expect(readPriceFile(text).faults).toEqual([
      expect.stringMatching(new RegExp(`^line ${line}: is not JSON`)),
    ]);
  });

  test.each(['null', '[]', '1', '{"prices": {}}', '{"prices": [null]}', '{"prices": [], "more": 1}'])(
    'that is JSON of another shape is refused: %s',
    (text) => {
      expect(readPriceFile(text).faults).toHaveLength(1);
    },
  );

  test('has the lines of everything in it', () => {
    const lines = linesOfJson('{ "a": [1,\n {"b\\n": true}],\n\n "c": null }');
    expect([...lines]).toEqual([
      ['', 1],
      ['a', 1],
      ['a.0', 1],
      ['a.1', 2],
      ['a.1.b\n', 2],
      ['c', 4],
    ]);
  });
});

describe('a price list', () => {
  const price = (perImage: string, validFrom: string) => ({
    ...{ model: 'flux-dev', perImage, currency: 'USD', validFrom: new Date(validFrom) },
  });
  const list = new PriceList([price('2', '2026-02-01'), price('1', '2026-01-01'), price('3', '2026-03-01')]);

  test('has the price that applies at a time', () => {
    const perImage = (at: string) => list.find('flux-dev', new Date(at))?.perImage;
    expect(perImage('2026-01-31T23:59:59.999Z')).toBe('1');
    expect(perImage('2026-02-01')).toBe('2');
    expect(perImage('2030-01-01')).toBe('3');
  });

  test('does not know a price before its time, or of another model', () => {
    expect(list.find('flux-dev', new Date('2025-12-31'))).toBeNull();
    expect(list.find('flux-pro', new Date('2026-02-01'))).toBeNull();
  });
});
