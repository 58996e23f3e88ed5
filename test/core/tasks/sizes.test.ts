import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FLUX_MODELS, type FluxModel } from '../../../src/core/tasks/models.js';
import { parsePixels, parseRatio, sizeFault } from '../../../src/core/tasks/sizes.js';

const byPixels = FLUX_MODELS.filter((model) => model.pixels !== null);
const byRatio = FLUX_MODELS.filter((model) => model.pixels === null);
const side = fc.integer({ min: 1, max: 999_999 });
/** Every size that a message suggests. */
function suggested(message: string | null): string[] {
  const [, list = ''] =
    /(?:nearest to \S+: |For \S+ use |closest to \S+ is )(.*)\.$/.exec(message ?? '') ?? [];
  return list.split(' or ').filter(Boolean);
}
function expectSuggestionsWork(model: FluxModel, size: string): void {
  const message = sizeFault(model, size);
  if (message === null) return;
  expect(suggested(message).length).toBeGreaterThan(0);
  for (const better of suggested(message)) expect(sizeFault(model, better)).toBeNull();
}

describe('a size', () => {
  test.each(FLUX_MODELS)('that is the default of $name is taken by it', (model) => {
    expect(sizeFault(model, model.defaultSize)).toBeNull();
  });

  test('whatever its pixels or its ratio, is taken or answered with sizes that are', () => {
    const pixels = fc.tuple(fc.constantFrom(...FLUX_MODELS), side, side, fc.constantFrom('x', ':'));
    fc.assert(
      fc.property(pixels, ([model, width, height, sign]) => {
        const [w, h] = sign === ':' ? [(width % 9_999) + 1, (height % 9_999) + 1] : [width, height];
        expectSuggestionsWork(model, `${w}${sign}${h}`);
      }),
      { numRuns: 2_000 },
    );
  });

  test('in pixels is taken exactly when both sides are in range and multiples of 32', () => {
    fc.assert(
      fc.property(fc.constantFrom(...byPixels), fc.nat(2_000), fc.nat(2_000), (model, width, height) => {
        const { minSide, maxSide, multipleOf } = model.pixels ?? { minSide: 0, maxSide: 0, multipleOf: 1 };
        const fits = (value: number) => value >= minSide && value <= maxSide && value % multipleOf === 0;
        expect(sizeFault(model, `${width}x${height}`) === null).toBe(fits(width) && fits(height));
      }),
      { numRuns: 2_000 },
    );
  });

  test('that nobody can read is refused with an example, and never throws', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FLUX_MODELS), fc.string(), (model, text) => {
        const fault = sizeFault(model, text);
        if (fault !== null) expect(fault).toContain(model.name);
      }),
    );
    for (const size of ['1024', '1024X1024', '1024x', 'x', '1024x1024x1', ' 1024x1024', '0x1024', '٣٢x٣٢']) {
      expect(sizeFault(byPixels[0] as FluxModel, size)).toMatch(/such as 1024x1024\.$|The nearest/);
    }
    expect(sizeFault(byRatio[0] as FluxModel, '0:1')).toMatch(/takes one of the ratios/);
  });

  test.each([
    ['1000x1000', '992x992 or 1024x1024'],
    ['100x100', '256x256'],
    ['9999x100', '1440x256'],
  ])('%s is answered with %s by flux-dev', (size, better) => {
    expect(suggested(sizeFault(byPixels[0] as FluxModel, size)).join(' or ')).toBe(better);
  });

  test.each([
    ['1920x1080', '16:9'],
    ['1080x1920', '9:16'],
    ['1:2', '9:16'],
    ['1000x1001', '1:1'],
    ['100:1', '21:9'],
  ])('%s is closest to %s among the ratios', (size, ratio) => {
    expect(suggested(sizeFault(byRatio[0] as FluxModel, size))).toEqual([ratio]);
  });
});

test('parsing gives back what was written, or null', () => {
  fc.assert(
    fc.property(side, side, (width, height) => {
      expect(parsePixels(`${width}x${height}`)).toEqual({ width, height });
      expect(parseRatio(`${width % 10_000 || 1}:7`)).toEqual({ width: width % 10_000 || 1, height: 7 });
      expect(parseRatio(`${width}x${height}`)).toBeNull();
    }),
  );
});
