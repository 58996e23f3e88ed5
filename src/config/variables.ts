import { z } from 'zod';
import { LIMIT_NAMES, type Limits } from '../core/limits/limits.js';
import { parseUrl } from '../core/primitives/url.js';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
/** 32 bytes: as long as the HMAC-SHA-256 that it keys. */
const MIN_SECRET_BYTES = 32;

const httpUrl = z
  .url({
    protocol: /^https?$/,
    error: 'must be an http or https address, such as https://pictures.example.com',
  })
  .transform((url) => url.replace(/\/+$/, ''));

/** Below what the columns hold. */
const MAX_LIMIT = 1_000_000_000;

const atLeastOne = () => z.coerce.number('must be a number').int().min(1, 'must be at least 1');

const NO_LIMITS = 'none';
/**
 * What a person in a browser does not come near, and a loop in a page or a stolen token does: ten requests a second, a task every
 * two seconds, and some devices with some tabs. No `generationsInFlight`: tasks take turns by end user anyway, and counting those in
 * flight takes longer the more a workspace has (30 ms at 10,000). A key is in programs, whose work nobody knows here.
 */
const END_USER_LIMITS = 'requestsPerMinute=600,generationsPerMinute=30,connections=20';

/** Such as "requestsPerMinute=600, generationsInFlight=20". */
const limits = (byDefault = NO_LIMITS) =>
  z
    .string()
    .default(byDefault)
    .transform((text) => (text.trim() === NO_LIMITS ? '' : text))
    .refine((text) => words(text).every(isLimit), {
      error: `must be ${NO_LIMITS}, or limits such as requestsPerMinute=600, each 1 to ${MAX_LIMIT}: ${LIMIT_NAMES.join(', ')}`,
    })
    .transform((text): Limits => {
      const pairs = words(text).map((word) => word.split('='));
      return Object.fromEntries(pairs.map(([name = '', amount]): [string, number] => [name, Number(amount)]));
    });

/** The variables and what each may be; .env.example explains them. */
export const VARIABLES = z.object({
  HOST: z.string().default('127.0.0.1'),
  PORT: z.coerce
    .number('must be a number')
    .int()
    .min(0, 'must be 0 to 65535')
    .max(65535, 'must be 0 to 65535')
    .default(4000),
  PUBLIC_URL: httpUrl.optional(),
  DATABASE_URL: z
    .url({
      protocol: /^postgres(ql)?$/,
      error: 'must look like postgresql://user:password@host:5432/database',
    })
    .optional(),
  DATA_DIR: z.string().default('.data'),
  FLUX_BASE_URL: httpUrl.default('https://api.acedata.cloud'),
  FLUX_API_TOKEN: z.string().optional(),
  FLUX_MODE: z.enum(['callback', 'async', 'wait'], 'must be callback, async or wait').optional(),
  UPSTREAM_CONCURRENCY: z.coerce
    .number('must be a number')
    .int()
    .min(1, 'must be 1 to 200')
    .max(200, 'must be 1 to 200')
    .default(24),
  FLUX_EDIT_ACTION: z.enum(['edit', 'edits'], 'must be edit or edits').optional(),
  ROLES: z
    .string()
    .default('api,worker')
    .transform((text) => text.split(',').map((role) => role.trim()))
    .pipe(z.array(z.enum(['api', 'worker'], 'must be api, worker, or both with a comma between')).min(1)),
  SECRET_KEY: z
    .string()
    .refine(isLongSecret, {
      error: `must have at least ${MIN_SECRET_BYTES} characters; "openssl rand -base64 33" makes a good one`,
    })
    .optional(),
  SECRET_KEY_OLD: z
    .string()
    .default('')
    .transform(words)
    .pipe(
      z.array(
        z.string().refine(isLongSecret, { error: `must be keys of at least ${MIN_SECRET_BYTES} characters` }),
      ),
    ),
  STORE: z.enum(['disk', 's3'], 'must be disk or s3').default('disk'),
  S3_ENDPOINT: httpUrl.optional(),
  S3_BUCKET: z.string().optional(),
  S3_REGION: z.string().default('us-east-1'),
  S3_ACCESS_KEY: z.string().optional(),
  S3_SECRET_KEY: z.string().optional(),
  S3_PREFIX: z
    .string()
    .regex(/^([\w.-]+\/)*[\w.-]*$/, 'must be letters, digits, dots and dashes, with slashes between')
    .default(''),
  S3_REDIRECT: z.enum(['true', 'false'], 'must be true or false').default('false'),
  MAX_IMAGE_BYTES: z.coerce
    .number('must be a number of bytes')
    .int()
    .min(1_024, 'must be at least 1024')
    .default(50 * 1024 * 1024),
  IMAGE_URL_TTL: z.coerce
    .number('must be a number of seconds')
    .int()
    .min(60, 'must be at least 60')
    .optional(),
  RETENTION_DAYS: z.coerce.number('must be a number of days').int().min(1, 'must be at least 1').optional(),
  ALLOW_PRIVATE_HOSTS: z.string().default('').transform(words),
  CALLBACK_RETENTION_DAYS: z.coerce
    .number('must be a number of days')
    .int()
    .min(1, 'must be at least 1')
    .default(30),
  PRICES_FILE: z.string().optional(),
  PUSH_BUFFER_EVENTS: z.coerce.number('must be a number').int().min(1, 'must be at least 1').default(1_000),
  EVENT_REPLAY_DAYS: z.coerce
    .number('must be a number of days')
    .int()
    .min(1, 'must be at least 1')
    .default(30),
  CONNECTIONS_PER_KEY: z.coerce.number('must be a number').int().min(1, 'must be at least 1').default(20_000),
  ALLOWED_ORIGINS: z
    .string()
    .transform((text) => text.split(',').map((origin) => origin.trim()))
    .pipe(
      z.array(
        z.string().refine(isOrigin, 'must be origins such as https://app.example.com, with commas between'),
      ),
    )
    .optional(),
  OIDC_ISSUER: z
    .url({
      protocol: /^https?$/,
      error: 'must be an address such as https://id.example.com, as tokens name it',
    })
    .optional(),
  OIDC_AUDIENCE: z.string().optional(),
  OIDC_WORKSPACE_CLAIM: z.string().default('workspace'),
  OIDC_SCOPE_CLAIM: z.string().default('scope'),
  TRUST_PROXY: z.coerce
    .number('must be a number of proxies')
    .int()
    .min(0, 'must be 0 to 10')
    .max(10, 'must be 0 to 10')
    .default(0),
  QUERY_MAX_TOKENS: atLeastOne().default(2_000),
  QUERY_MAX_DEPTH: atLeastOne().default(15),
  QUERY_MAX_ALIASES: atLeastOne().default(30),
  QUERY_MAX_DIRECTIVES: atLeastOne().default(30),
  QUERY_MAX_ROOT_FIELDS: atLeastOne().default(20),
  QUERY_MAX_LIST: atLeastOne().default(1_000),
  QUERY_MAX_COST: atLeastOne().default(10_000),
  OPERATIONS_PER_REQUEST: atLeastOne().default(1),
  INTROSPECTION: z.enum(['on', 'off'], 'must be on or off').default('on'),
  GRAPHQL_IDE: z.enum(['on', 'off'], 'must be on or off').optional(),
  LIMITS_PER_KEY: limits(),
  LIMITS_PER_END_USER: limits(END_USER_LIMITS),
  LIMITS_PER_WORKSPACE: limits(),
  LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
});
export type Variables = z.infer<typeof VARIABLES>;

/** A list as a person writes it: with commas, spaces or line ends between. */
function words(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '');
}

function isLimit(word: string): boolean {
  const [name, amount = ''] = word.split('=');
  return (
    LIMIT_NAMES.some((known) => known === name) &&
    /^[1-9]\d{0,9}$/.test(amount) &&
    Number(amount) <= MAX_LIMIT
  );
}

function isLongSecret(text: string): boolean {
  return Buffer.byteLength(text) >= MIN_SECRET_BYTES;
}

function isOrigin(text: string): boolean {
  return parseUrl(text)?.origin === text;
}
