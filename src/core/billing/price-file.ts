import { z } from 'zod';
import {
  JsonSyntaxError,
  type JsonWithLines,
  parseJsonWithLines,
} from '../primitives/encoding/json-lines.js';
import { withoutByteOrderMark } from '../primitives/encoding/utf8.js';
import { findModel, FLUX_MODELS } from '../tasks/models.js';
import { CURRENCY_PATTERN, PRICE_PATTERN } from './money.js';
import { type Price } from './prices.js';

const INVALID_PRICE_MESSAGE =
  'must be a decimal number as text, such as "0.04", with up to 6 digits before the point and 8 after it';
const INVALID_CURRENCY_MESSAGE = 'must be an ISO 4217 code of three letters, such as "USD"';

const priceFileSchema = z.strictObject({
  /** A note for people, such as the source of the prices. */
  about: z.string('must be text').optional(),
  prices: z.array(
    z.strictObject(
      {
        model: z.string('must be the name of a model').refine((name) => findModel(name), {
          error: `is not a known model. Use one of: ${FLUX_MODELS.map(({ name }) => name).join(', ')}`,
        }),
        perImage: z.string(INVALID_PRICE_MESSAGE).regex(PRICE_PATTERN, INVALID_PRICE_MESSAGE),
        currency: z.string(INVALID_CURRENCY_MESSAGE).regex(CURRENCY_PATTERN, INVALID_CURRENCY_MESSAGE),
        validFrom: z
          .union([z.iso.datetime({ offset: true }), z.iso.date()], {
            error: 'must be a date or a time, such as "2026-01-01" or "2026-01-01T00:00:00Z"',
          })
          .transform((text) => new Date(text)),
      },
      { error: 'must be an object with exactly the properties model, perImage, currency and validFrom' },
    ),
    'must be a list',
  ),
});

/** Parses a price file. `errors` lists everything that is wrong with it, each with its line, and is empty for a valid file. */
export function parsePriceFile(text: string): { prices: Price[]; errors: string[] } {
  let json: JsonWithLines;
  try {
    json = parseJsonWithLines(withoutByteOrderMark(text));
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    return { prices: [], errors: [`line ${error.line}: is not valid JSON: ${error.message}`] };
  }
  const parsed = priceFileSchema.safeParse(json.value);
  const errors = (parsed.error?.issues ?? []).map(({ path, message }) => {
    const name = path.length > 0 ? `${String(path.at(-1))} ` : '';
    return `line ${json.lineOf(path)}: ${name}${message}`;
  });
  const prices = parsed.data?.prices ?? [];
  const seen = new Set<string>();
  prices.forEach(({ model, validFrom }, index) => {
    const priceKey = `${model} ${validFrom.toISOString()}`;
    if (seen.has(priceKey)) {
      const line = json.lineOf(['prices', index]);
      errors.push(`line ${line}: is a second price of ${model} with the same validFrom. Keep one of them`);
    }
    seen.add(priceKey);
  });
  return { prices, errors };
}
