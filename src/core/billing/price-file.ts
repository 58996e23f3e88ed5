import { z } from 'zod';
import { JsonFault, linesOfJson } from '../primitives/json-lines.js';
import { FLUX_MODELS } from '../tasks/models.js';
import { isCurrency, isPrice } from './money.js';
import { type Price } from './prices.js';

const NOT_A_PRICE = 'must be a decimal number as text, such as "0.04": up to 6 digits, and 8 after the point';

const fileSchema = z.strictObject({
  /** For people: where the figures are from. */
  about: z.string('must be text').optional(),
  prices: z.array(
    z.strictObject(
      {
        model: z
          .string('must be the name of a model')
          .refine((name) => FLUX_MODELS.some((model) => model.name === name), {
            error: `is not a model; there are ${FLUX_MODELS.map(({ name }) => name).join(', ')}`,
          }),
        perImage: z.string(NOT_A_PRICE).refine(isPrice, { error: NOT_A_PRICE }),
        currency: z
          .string('must be three letters, such as "USD"')
          .refine(isCurrency, { error: 'must be three letters, such as "USD"' }),
        validFrom: z
          .union([z.iso.datetime({ offset: true }), z.iso.date()], {
            error: 'must be a day or a time, such as "2026-01-01" or "2026-01-01T00:00:00Z"',
          })
          .transform((text) => new Date(text)),
      },
      { error: 'must be an object with model, perImage, currency and validFrom, and nothing else' },
    ),
    'must be a list',
  ),
});

/** A price file's prices, or what is wrong with it: every fault with its line. Without faults it can be used. */
export function readPriceFile(text: string): { prices: Price[]; faults: string[] } {
  let lines: Map<string, number>;
  try {
    lines = linesOfJson(text);
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    return { prices: [], faults: [`line ${error.line}: is not JSON: ${error.message}`] };
  }
  const parsed = fileSchema.safeParse(JSON.parse(text));
  const faults = (parsed.error?.issues ?? []).map(({ path, message }) => {
    const name = path.length > 0 ? `${String(path.at(-1))} ` : '';
    return `line ${lineOf(lines, path)}: ${name}${message}`;
  });
  const prices = parsed.data?.prices ?? [];
  const seen = new Set<string>();
  prices.forEach(({ model, validFrom }, index) => {
    const which = `${model} ${validFrom.toISOString()}`;
    if (seen.has(which)) {
      const line = lineOf(lines, ['prices', index]);
      faults.push(`line ${line}: there is another price of ${model} from the same time on; keep one of them`);
    }
    seen.add(which);
  });
  return { prices, faults };
}

/** Of the thing itself, or where that is absent, of what it should be in. */
function lineOf(lines: ReadonlyMap<string, number>, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length -= 1) {
    const line = lines.get(path.slice(0, length).join('.'));
    if (line !== undefined) return line;
  }
  return lines.get('') ?? 1;
}
