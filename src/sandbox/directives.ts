import { z } from 'zod';
import { FLUX_ERROR_CODES } from '../core/flux-api/flux-errors.js';
import { ApiRefusal } from './http/api-refusal.js';

/** Ten minutes, far longer than the two minutes that the upstream documents, so that deadlines can be tested. */
const MAX_DELAY_MS = 600_000;

const directivesSchema = z
  .strictObject({
    /** How long the generation takes. */
    delay: z
      .string()
      .regex(/^\d{1,6}(\.\d{1,3})?m?s$/)
      .transform((text) => Number.parseFloat(text) * (text.endsWith('ms') ? 1 : 1000))
      .pipe(z.number().max(MAX_DELAY_MS)),
    /** Refuse the submission with this code. `bare` is a 500 whose `error` is a plain string. */
    error: z.enum(['bare', ...FLUX_ERROR_CODES]),
    /** With `error`: how many submissions of exactly this prompt are refused before one is accepted. */
    times: z
      .string()
      .regex(/^[1-9]\d{0,5}$/)
      .transform(Number),
    /** Accept the submission and let the generation fail with this code. */
    fail: z.enum(FLUX_ERROR_CODES),
    callback: z.enum(['lost', 'twice', 'early', 'late']),
    /** Maximum number of delivered images. */
    images: z.enum(['0', '1', '2', '3', '4']).transform(Number),
    reply: z.enum(['dropped', 'html', 'timeout']),
    image: z.enum(['404', 'slow']),
    /** While it runs, the task shows a temporary failure. */
    hiccup: z.literal('').transform(() => true),
  })
  .partial()
  .transform(({ delay: delayMs, ...others }) => ({ ...others, ...(delayMs !== undefined && { delayMs }) }));

/** Faults and delays for one request, parsed from its prompt. Every field is absent unless the prompt sets it. */
export type Directives = z.output<typeof directivesSchema>;

/** How each directive is written, for error messages. */
const SYNTAX = [
  'delay=<n>ms|s (at most 600s)',
  `error=bare|${FLUX_ERROR_CODES.join('|')}`,
  'times=<n> (with error)',
  'fail=<any code of error except bare>',
  'callback=lost|twice|early|late',
  'images=<0 to 4>',
  'reply=dropped|html|timeout',
  'image=404|slow',
  'hiccup',
].join('; ');
const DIRECTIVE_PATTERN = /\[sandbox:([^\]]*)\]/gi;

/**
 * Extracts `[sandbox: name=value name=value]` from a prompt. There may be several brackets; the last of two equal names wins.
 * `caption` is the prompt without the brackets.
 * @throws ApiRefusal `bad_request`, listing all directives, when one is unknown or has an invalid value.
 */
export function parseDirectives(prompt: string): { caption: string; directives: Directives } {
  const directives: Directives = {};
  for (const [, options = ''] of prompt.matchAll(DIRECTIVE_PATTERN)) {
    for (const option of options.split(/[\s,]+/).filter(Boolean)) {
      const [name = '', ...value] = option.split('=');
      const parsed = directivesSchema.safeParse({ [name]: value.join('=') });
      if (!parsed.success) {
        const message = `Unknown or invalid directive "${option}". Use one of: ${SYNTAX}.`;
        throw new ApiRefusal('bad_request', message);
      }
      Object.assign(directives, parsed.data);
    }
  }
  if (directives.times !== undefined && directives.error === undefined)
    throw new ApiRefusal('bad_request', `The directive "times" needs "error". Use: ${SYNTAX}.`);
  return { caption: prompt.replace(DIRECTIVE_PATTERN, ' ').replace(/\s+/g, ' ').trim(), directives };
}
