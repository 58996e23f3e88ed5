import { FLUX_ERROR_CODES, type FluxErrorCode, isFluxErrorCode } from '../core/flux-api/flux-error-codes.js';
import { ApiRefusal } from './http/api-refusal.js';

/** Faults and delays for one request, parsed from its prompt. Every field is absent unless the prompt sets it. */
export interface Directives {
  /** How long the generation takes, in milliseconds. */
  delayMs?: number;
  /** Refuse the submission with this code. `bare` is a 500 whose `error` is a plain string. */
  error?: FluxErrorCode | 'bare';
  /** With `error`: how many submissions of exactly this prompt are refused before one is accepted. */
  times?: number;
  /** Accept the submission and let the generation fail with this code. */
  fail?: FluxErrorCode;
  callback?: (typeof CALLBACK_FAULTS)[number];
  /** Maximum number of delivered images. */
  images?: number;
  reply?: (typeof REPLY_FAULTS)[number];
  image?: (typeof IMAGE_FAULTS)[number];
  /** While it runs, the task shows a temporary failure. */
  hiccup?: boolean;
}

const CALLBACK_FAULTS = ['lost', 'twice', 'early', 'late'] as const;
const REPLY_FAULTS = ['dropped', 'html', 'timeout'] as const;
const IMAGE_FAULTS = ['404', 'slow'] as const;

/** Ten minutes, far longer than the two minutes that the upstream documents, so that deadlines can be tested. */
const MAX_DELAY_MS = 600_000;
/** The API's maximum for one request. */
const MAX_IMAGES = 4;

type DirectiveParser = (value: string) => Directives | null;

/** For each directive its syntax and a parser of its value, which returns null for an invalid one. */
const DIRECTIVE_PARSERS: Record<string, { syntax: string; parse: DirectiveParser }> = {
  delay: { syntax: 'delay=<n>ms|s (at most 600s)', parse: parseDelay },
  error: {
    syntax: `error=bare|${FLUX_ERROR_CODES.join('|')}`,
    parse: (value) => (value === 'bare' || isFluxErrorCode(value) ? { error: value } : null),
  },
  times: {
    syntax: 'times=<n> (with error)',
    parse: (value) => (/^[1-9]\d{0,5}$/.test(value) ? { times: Number(value) } : null),
  },
  fail: {
    syntax: 'fail=<any code of error except bare>',
    parse: (value) => (isFluxErrorCode(value) ? { fail: value } : null),
  },
  callback: enumDirective('callback', CALLBACK_FAULTS, (callback) => ({ callback })),
  images: {
    syntax: `images=<0 to ${MAX_IMAGES}>`,
    parse: (value) => (/^\d$/.test(value) && Number(value) <= MAX_IMAGES ? { images: Number(value) } : null),
  },
  reply: enumDirective('reply', REPLY_FAULTS, (reply) => ({ reply })),
  image: enumDirective('image', IMAGE_FAULTS, (image) => ({ image })),
  hiccup: { syntax: 'hiccup', parse: (value) => (value === '' ? { hiccup: true } : null) },
};

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
      Object.assign(directives, parseDirective(option));
    }
  }
  if (directives.times !== undefined && directives.error === undefined)
    throw invalidDirective('times without error');
  return { caption: prompt.replace(DIRECTIVE_PATTERN, ' ').replace(/\s+/g, ' ').trim(), directives };
}

function parseDirective(option: string): Directives {
  const [name = '', ...rest] = option.split('=');
  const parser = Object.hasOwn(DIRECTIVE_PARSERS, name) ? DIRECTIVE_PARSERS[name] : undefined;
  const directive = parser?.parse(rest.join('='));
  if (!directive) throw invalidDirective(option);
  return directive;
}

function invalidDirective(option: string): ApiRefusal {
  const syntaxes = Object.values(DIRECTIVE_PARSERS).map(({ syntax }) => syntax);
  return new ApiRefusal(
    'bad_request',
    `Unknown or invalid directive "${option}". Use one of: ${syntaxes.join('; ')}.`,
  );
}

function parseDelay(value: string): Directives | null {
  const [, amount, unit] = /^(\d{1,6}(?:\.\d{1,3})?)(ms|s)$/.exec(value) ?? [];
  const delayMs = Number(amount) * (unit === 's' ? 1000 : 1);
  return delayMs <= MAX_DELAY_MS ? { delayMs } : null;
}

function enumDirective<Value extends string>(
  name: string,
  values: readonly Value[],
  make: (value: Value) => Directives,
): { syntax: string; parse: DirectiveParser } {
  const parse: DirectiveParser = (text) => {
    const value = values.find((known) => known === text);
    return value === undefined ? null : make(value);
  };
  return { syntax: `${name}=${values.join('|')}`, parse };
}
