import { API_ERROR_CODES, type ApiErrorCode, isApiErrorCode } from '../core/flux-api/flux-error.js';
import { ApiRefusal } from './http/api-refusal.js';

/** How the sandbox should misbehave for one request. Read from the prompt; every field is absent unless asked for. */
export interface Directives {
  /** How long the generation takes, in milliseconds. */
  delayMs?: number;
  /** Refuse the submission with this code; `bare` is a 500 whose `error` is a plain string. */
  error?: ApiErrorCode | 'bare';
  /** With `error`: how many submissions of this very prompt are refused before one is accepted. */
  times?: number;
  /** Accept the submission and let the generation end with this code. */
  fail?: ApiErrorCode;
  callback?: (typeof CALLBACK_FAULTS)[number];
  /** The most pictures that are delivered. */
  images?: number;
  reply?: (typeof REPLY_FAULTS)[number];
  picture?: (typeof PICTURE_FAULTS)[number];
  /** While it runs, the task shows a failure that is not its end. */
  hiccup?: boolean;
}

const CALLBACK_FAULTS = ['lost', 'twice', 'early', 'late'] as const;
const REPLY_FAULTS = ['dropped', 'html', 'timeout'] as const;
const PICTURE_FAULTS = ['404', 'slow'] as const;

/** Ten minutes: longer than the one to two minutes that the provider documents, so that deadlines can be tried. */
const MAX_DELAY_MS = 600_000;
/** What the API delivers at most for one request. */
const MAX_IMAGES = 4;

type Reader = (value: string) => Directives | null;

/** One entry per directive: how it is written, and how its value is read (null: not a value it takes). */
const READERS: Record<string, { form: string; read: Reader }> = {
  delay: { form: 'delay=<n>ms|s (at most 600s)', read: readDelay },
  error: {
    form: `error=bare|${API_ERROR_CODES.join('|')}`,
    read: (value) => (value === 'bare' || isApiErrorCode(value) ? { error: value } : null),
  },
  times: {
    form: 'times=<n> (with error)',
    read: (value) => (/^[1-9]\d{0,5}$/.test(value) ? { times: Number(value) } : null),
  },
  fail: {
    form: 'fail=<any code that error takes, except bare>',
    read: (value) => (isApiErrorCode(value) ? { fail: value } : null),
  },
  callback: oneOf('callback', CALLBACK_FAULTS, (callback) => ({ callback })),
  images: {
    form: `images=<0 to ${MAX_IMAGES}>`,
    read: (value) => (/^\d$/.test(value) && Number(value) <= MAX_IMAGES ? { images: Number(value) } : null),
  },
  reply: oneOf('reply', REPLY_FAULTS, (reply) => ({ reply })),
  picture: oneOf('picture', PICTURE_FAULTS, (picture) => ({ picture })),
  hiccup: { form: 'hiccup', read: (value) => (value === '' ? { hiccup: true } : null) },
};

const BRACKET = /\[sandbox:([^\]]*)\]/gi;

/**
 * Takes `[sandbox: name=value name=value]` out of a prompt. Brackets may be repeated; of two equal names the last one
 * counts. `caption` is the prompt without them.
 * @throws ApiRefusal `bad_request`, listing every directive that exists, when one is unknown or its value is not taken.
 */
export function readDirectives(prompt: string): { caption: string; directives: Directives } {
  const directives: Directives = {};
  for (const [, options = ''] of prompt.matchAll(BRACKET)) {
    for (const option of options.split(/[\s,]+/).filter(Boolean)) {
      Object.assign(directives, readOption(option));
    }
  }
  if (directives.times !== undefined && directives.error === undefined) throw refusal('times without error');
  return { caption: prompt.replace(BRACKET, ' ').replace(/\s+/g, ' ').trim(), directives };
}

function readOption(option: string): Directives {
  const [name = '', ...rest] = option.split('=');
  const reader = Object.hasOwn(READERS, name) ? READERS[name] : undefined;
  const directive = reader?.read(rest.join('='));
  if (!directive) throw refusal(option);
  return directive;
}

function refusal(option: string): ApiRefusal {
  const forms = Object.values(READERS).map((reader) => reader.form);
  return new ApiRefusal(
    'bad_request',
    `The sandbox does not know the directive "${option}". It knows: ${forms.join('; ')}.`,
  );
}

function readDelay(value: string): Directives | null {
  const [, amount, unit] = /^(\d{1,6}(?:\.\d{1,3})?)(ms|s)$/.exec(value) ?? [];
  const delayMs = Number(amount) * (unit === 's' ? 1000 : 1);
  return delayMs <= MAX_DELAY_MS ? { delayMs } : null;
}

function oneOf<Value extends string>(
  name: string,
  values: readonly Value[],
  make: (value: Value) => Directives,
): { form: string; read: Reader } {
  const read: Reader = (text) => {
    const value = values.find((known) => known === text);
    return value === undefined ? null : make(value);
  };
  return { form: `${name}=${values.join('|')}`, read };
}
