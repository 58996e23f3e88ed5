import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { parseJsonWithLines } from '../../../src/core/primitives/encoding/json-lines.js';
import { parsePriceFile } from '../../../src/core/billing/price-file.js';
import { PriceList } from '../../../src/core/billing/prices.js';

/** A price file with these entries, one per line. The first one is on line 2. */
function fileOf(...entries: string[]): string {
  return `{ "prices": [\n${entries.join(',\n')}\n] }`;
}
function entry(changes: Record<string, unknown> = {}): string {
  const good = { model: 'flux-dev', perImage: '0.04', currency: 'USD', validFrom: '2026-01-01' };
  return JSON.stringify({ ...good, ...changes });
}

describe('a price file', () => {
  test('keeps its decimals exactly as they are written', () => {
    const { prices, errors } = parsePriceFile(fileOf(entry({ perImage: '0.10000001' })));
    expect(errors).toEqual([]);
    expect(prices).toEqual([
      { model: 'flux-dev', perImage: '0.10000001', currency: 'USD', validFrom: new Date('2026-01-01') },
    ]);
  });

  test('that ships as an example is valid and says that it is an example', () => {
    const text = readFileSync('prices.example.json', 'utf8');
    expect(parsePriceFile(text).errors).toEqual([]);
    expect(text).toContain('EXAMPLE FIGURES');
  });

  test.each([
    [{ perImage: '-0.04' }, 'perImage must be a decimal number as text'],
    [{ perImage: 0.04 }, 'perImage must be a decimal number as text'],
    [{ perImage: 'NaN' }, 'perImage must be a decimal number as text'],
    [{ perImage: '1e3' }, 'perImage must be a decimal number as text'],
    [{ perImage: '0.123456789' }, 'perImage must be a decimal number as text'],
    [{ perImage: '10000000' }, 'perImage must be a decimal number as text'],
    [{ currency: 'dollars' }, 'currency must be an ISO 4217 code'],
    [{ currency: undefined }, 'currency must be an ISO 4217 code'],
    [{ model: 'flux-dve' }, 'model is not a known model. Use one of: flux-dev'],
    [{ validFrom: 'soon' }, 'validFrom must be a date or a time'],
    [{ validFrom: '2026-02-30' }, 'validFrom must be a date or a time'],
    [
      { perimage: '0.04' },
      'must be an object with exactly the properties model, perImage, currency and validFrom',
    ],
  ])('is rejected with the line of an entry with %j', (changes, problem) => {
    const { errors } = parsePriceFile(fileOf(entry({ model: 'flux-pro' }), entry(changes)));
    expect(errors).toEqual([expect.stringContaining(problem)]);
    expect(errors[0]).toMatch(/^line 3: /);
  });

  test('is rejected with all errors at once', () => {
    const { errors } = parsePriceFile(fileOf(entry({ perImage: '' }), entry({ currency: '' })));
    expect(errors.map((error) => error.slice(0, 7))).toEqual(['line 2:', 'line 3:']);
  });

  test('may begin with a byte order mark, as some editors write it', () => {
    expect(parsePriceFile(`\uFEFF${fileOf(entry())}`)).toMatchObject({ errors: [], prices: [{}] });
  });

  test('is rejected when two prices of a model are valid from the same time', () => {
    const { errors } = parsePriceFile(fileOf(entry(), entry({ validFrom: '2026-01-01T00:00:00Z' })));
    expect(errors).toEqual([expect.stringContaining('line 3: is a second price of flux-dev')]);
  });

  test.each([
    ['', 1],
    ['{\n  "prices": [\n    nonsense\n]}', 3],
    ['{\n"prices": [],\n}', 3],
    ['{\n"prices": [\n', 3],
    ['{ "prices": [] }\n}', 2],
    ['{"prices": ["\n"]}', 1],
    ["{'prices': []}", 1],
    ['{ "prices":\n [] // none\n}', 2],
  ])('that is not JSON is rejected with the line: %j', (text, line) => {
    expect(() => void JSON.parse(text)).toThrow();
    expect(parsePriceFile(text).errors).toEqual([
      expect.stringMatching(new RegExp(`^line ${line}: is not valid JSON`)),
    ]);
  });

  test.each(['null', '[]', '1', '{"prices": {}}', '{"prices": [null]}', '{"prices": [], "more": 1}'])(
    'that is JSON of another shape is rejected: %s',
    (text) => {
      expect(parsePriceFile(text).errors).toHaveLength(1);
    },
  );

  test.each([
    [[], 1],
    [['a'], 1],
    [['a', 0], 1],
    [['a', 1], 2],
    [['a', 1, 'b\n'], 2],
    [['a', 1, 'absent', 0], 2],
    [['absent'], 1],
    [['c'], 4],
  ])('has a line number for the value at %j, or for what encloses it', (path, line) => {
    const { lineOf } = parseJsonWithLines('{ "a": [1,\n {"b\\n": true}],\n\n "c": null }');
    expect(lineOf(path)).toBe(line);
  });
});

test('the line of a key that occurs twice is that of the last one, whose value counts', () => {
  const { value, lineOf } = parseJsonWithLines('{ "a": [],\n "a": [\n 1] }');
  expect([value, lineOf(['a']), lineOf(['a', 0])]).toEqual([{ a: [1] }, 2, 3]);
});

describe('a price list', () => {
  const price = (perImage: string, validFrom: string) => ({
    ...{ model: 'flux-dev', perImage, currency: 'USD', validFrom: new Date(validFrom) },
  });
  const list = new PriceList([price('2', '2026-02-01'), price('1', '2026-01-01'), price('3', '2026-03-01')]);

  test('finds the price that applies at a given time', () => {
    const perImage = (at: string) => list.find('flux-dev', new Date(at))?.perImage;
    expect(perImage('2026-01-31T23:59:59.999Z')).toBe('1');
    expect(perImage('2026-02-01')).toBe('2');
    expect(perImage('2030-01-01')).toBe('3');
  });

  test('finds no price before the first one is valid, or for another model', () => {
    expect(list.find('flux-dev', new Date('2025-12-31'))).toBeNull();
    expect(list.find('flux-pro', new Date('2026-02-01'))).toBeNull();
  });
});
