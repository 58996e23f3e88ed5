import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { FLUX_MODELS, type FluxModel } from '../../../src/core/tasks/models.js';
import {
  modelSizeOf,
  nearestSize,
  parseAspectRatio,
  parsePixels,
  sizeError,
  spellingsOf,
} from '../../../src/core/tasks/sizes.js';

const pixelModels = FLUX_MODELS.filter((model) => model.pixelSizes !== null);
const ratioModels = FLUX_MODELS.filter((model) => model.pixelSizes === null);
const side = fc.integer({ min: 1, max: 999_999 });
/** All sizes that a message suggests. */
function suggestedSizes(message: string | null): string[] {
  const [, list = ''] =
    /(?:nearest to \S+ is |For \S+, use |closest to \S+ is )(.*)\.$/.exec(message ?? '') ?? [];
  return list.split(' or ').filter(Boolean);
}
function expectSuggestionsWork(model: FluxModel, size: string): void {
  const message = sizeError(model, size);
  if (message === null) return;
  expect(suggestedSizes(message).length).toBeGreaterThan(0);
  for (const suggestion of suggestedSizes(message)) expect(sizeError(model, suggestion)).toBeNull();
}

describe('a size', () => {
  test.each(FLUX_MODELS)('that is the default of $name is valid for it', (model) => {
    expect(sizeError(model, model.defaultSize)).toBeNull();
  });

  test('of any pixels or aspect ratio is valid, or its error suggests valid sizes', () => {
    const pixels = fc.tuple(fc.constantFrom(...FLUX_MODELS), side, side, fc.constantFrom('x', ':'));
    fc.assert(
      fc.property(pixels, ([model, width, height, separator]) => {
        const [w, h] = separator === ':' ? [(width % 9_999) + 1, (height % 9_999) + 1] : [width, height];
        expectSuggestionsWork(model, `${w}${separator}${h}`);
      }),
      { numRuns: 2_000 },
    );
  });

  test('in pixels is valid exactly when both sides are in range and multiples of 32', () => {
    fc.assert(
      fc.property(fc.constantFrom(...pixelModels), fc.nat(2_000), fc.nat(2_000), (model, width, height) => {
        const { minSide, maxSide, multipleOf } = model.pixelSizes ?? {
          minSide: 0,
          maxSide: 0,
          multipleOf: 1,
        };
        const fits = (value: number) => value >= minSide && value <= maxSide && value % multipleOf === 0;
        expect(sizeError(model, `${width}x${height}`) === null).toBe(fits(width) && fits(height));
      }),
      { numRuns: 2_000 },
    );
  });

  test('of another form is rejected with an example, and never throws', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FLUX_MODELS), fc.string(), (model, text) => {
        const message = sizeError(model, text);
        if (message !== null) expect(message).toContain(model.name);
      }),
    );
    for (const size of ['1024', '1024X1024', '1024x', 'x', '1024x1024x1', ' 1024x1024', '0x1024', '٣٢x٣٢']) {
      expect(sizeError(pixelModels[0] as FluxModel, size)).toMatch(/such as 1024x1024\.$|The nearest/);
    }
    expect(sizeError(ratioModels[0] as FluxModel, '0:1')).toMatch(/takes one of the aspect ratios/);
  });

  test.each([
    ['1000x1000', '992x992 or 1024x1024'],
    ['100x100', '256x256'],
    ['9999x100', '1440x256'],
  ])('of %s is rejected by flux-dev with the suggestion %s', (size, suggestion) => {
    expect(suggestedSizes(sizeError(pixelModels[0] as FluxModel, size)).join(' or ')).toBe(suggestion);
  });

  test.each([
    ['1920x1080', '16:9'],
    ['1080x1920', '9:16'],
    ['1:2', '9:16'],
    ['1000x1001', '1:1'],
    ['100:1', '21:9'],
  ])('of %s is closest to the aspect ratio %s', (size, ratio) => {
    expect(suggestedSizes(sizeError(ratioModels[0] as FluxModel, size))).toEqual([ratio]);
  });
});

describe('the spelling of a size', () => {
  const model = (name: string) => FLUX_MODELS.find((known) => known.name === name) as FluxModel;

  test.each([
    ['flux-kontext-pro', '1024x1024', '1:1'],
    ['flux-kontext-pro', '1280x720', '16:9'],
    ['flux-kontext-pro', '1344x768', null],
    ['flux-kontext-pro', '1920x1080', null],
    ['flux-kontext-pro', '512x512', null],
    ['flux-dev', '1:1', '1024x1024'],
    ['flux-dev', '4:3', '1152x864'],
    ['flux-dev', '3:2', '1248x832'],
    ['flux-dev', '16:9', null],
    ['flux-dev', '512x512', '512x512'],
    ['flux-2-pro', '1:1', '1:1'],
    ['flux-2-pro', '16:9', '16:9'],
    ['flux-2-pro', '1024x1024', '1024x1024'],
    ['flux-2-pro', '1920x1080', null],
  ])('for %s of %s that means the same is %s', (name, size, expected) => {
    expect(modelSizeOf(model(name), size)).toBe(expected);
  });

  test.each([
    ['flux-kontext-pro', '1344x768', '16:9'],
    ['flux-kontext-max', '512x512', '1:1'],
    ['flux-dev', '16:9', '1376x768'],
    ['flux-dev', '21:9', '1440x608'],
    ['flux-dev', '1920x1080', '1440x800'],
    ['flux-dev', '1792x1024', '1440x832'],
    ['flux-dev', '1000x1000', '992x992'],
    ['flux-dev', '100x200', '256x512'],
    ['flux-dev', '9999x1', '1440x256'],
    ['flux-2-max', '1920x1080', '16:9'],
    ['flux-2-max', '7:5', '1216x864'],
    ['flux-dev', 'large', null],
  ])('for %s nearest to %s is %s', (name, size, expected) => {
    expect(nearestSize(model(name), size)).toBe(expected);
  });

  test('nearest to any size is one that the model takes, and a size that it takes keeps its shape', () => {
    fc.assert(
      fc.property(
        fc.tuple(fc.constantFrom(...FLUX_MODELS), side, side, fc.constantFrom('x', ':')),
        ([known, width, height, separator]) => {
          const [w, h] = separator === ':' ? [(width % 9_999) + 1, (height % 9_999) + 1] : [width, height];
          const nearest = nearestSize(known, `${w}${separator}${h}`) ?? '';
          expect(sizeError(known, nearest)).toBeNull();
          const { ratio, pixels } = spellingsOf(known, nearest);
          for (const spelled of [ratio, pixels]) if (spelled) expect(sizeError(known, spelled)).toBeNull();
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

test('parsing a size returns its numbers, or null for another form', () => {
  fc.assert(
    fc.property(side, side, (width, height) => {
      expect(parsePixels(`${width}x${height}`)).toEqual({ width, height });
      expect(parseAspectRatio(`${width % 10_000 || 1}:7`)).toEqual({ width: width % 10_000 || 1, height: 7 });
      expect(parseAspectRatio(`${width}x${height}`)).toBeNull();
    }),
  );
});

test.each(['01024x1024', '1024x01024', '0x1024', '00x00'])('%s is no size in pixels', (size) => {
  expect(parsePixels(size)).toBeNull();
});
