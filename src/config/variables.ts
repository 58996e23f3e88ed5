import { z } from 'zod';
import { LIMIT_NAMES, type Limits, MAX_LIMIT } from '../core/limits/limits.js';
import { parseUrl } from '../core/primitives/url.js';
import { parseOriginRule } from '../core/access/origins.js';
import { isHostEntry } from '../net/ssrf-guard.js';
import { isNoProxyEntry } from '../net/proxy-rules.js';
import { baseUrlSchema, faultOfOrigin, listenAddressSchema, proxyUrlSchema } from './addresses.js';
import { faultOfDatabaseUrl } from './database-url.js';
import { faultOfToken, isLongSecret, MIN_SECRET_BYTES } from './secret-text.js';

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
/** A value for which `faultOf` returns null. What it returns otherwise is the message. */
const valid = (faultOf: (text: string) => string | null) =>
  z.string().superRefine((text, context) => {
    const message = faultOf(text);
    if (message !== null) context.addIssue({ code: 'custom', message });
  });

/** A whole number. Every invalid value has the same message, which gives the range. */
const integer = (min: number, max: number, unit = '') => {
  const error = `must be a whole number${unit && ` of ${unit}`} from ${min} to ${max}`;
  return z
    .string()
    .regex(/^\d+$/, error)
    .transform(Number)
    .pipe(z.number().int(error).min(min, error).max(max, error));
};
/** A century. PostgreSQL cannot subtract more than some thousand years from a time. */
const MAX_DAYS = 36_500;
/** Ten years. */
const MAX_LINK_SECONDS = 315_360_000;
/** A gigabyte. The type Int of GraphQL, in which clients read it, ends at twice as much. */
const MAX_IMAGE_BYTES = 1024 ** 3;
/** More is a typing error: nothing that is limited by it is handled in a reasonable time. */
const MAX_QUERY_LIMIT = 1_000_000;
/** As many as values in a JSON body, of which an element is one. */
const MAX_LIST_SIZE = 50_000;
const MAX_DEPTH = 1_000;
const MAX_OPERATIONS = 1_000;

const NO_LIMITS = 'none';
/**
 * Far more than a person in a browser needs, but a bound for a loop in a page or a stolen token: ten requests a second, a
 * task every two seconds, and a few devices with a few tabs. `generationsInFlight` is not limited, because scheduling is
 * fair between end users, and the time to count tasks in flight grows with the workspace. API keys have
 * no default limits, because the load of the operator's own programs is unknown.
 */
const END_USER_LIMITS = 'requestsPerMinute=600,generationsPerMinute=30,connections=20';

/** Parses limits such as "requestsPerMinute=600, generationsInFlight=20". */
const limitsSchema = (defaultValue = NO_LIMITS) =>
  z
    .string()
    .default(defaultValue)
    .transform((text) => (text.trim() === NO_LIMITS ? '' : text))
    .refine((text) => splitList(text).every(isLimitAssignment), {
      error: `must be ${NO_LIMITS}, or limits from 1 to ${MAX_LIMIT} such as requestsPerMinute=600. The limits are ${LIMIT_NAMES.join(', ')}`,
    })
    .transform((text): Limits => {
      const pairs = splitList(text).map((assignment) => assignment.split('='));
      return Object.fromEntries(pairs.map(([name = '', value]): [string, number] => [name, Number(value)]));
    });

/** The environment variables, their valid values and their defaults. .env.example explains them. */
export const environmentSchema = z.object({
  HOST: listenAddressSchema.default('127.0.0.1'),
  PORT: integer(0, 65_535).default(4000),
  PUBLIC_URL: baseUrlSchema.optional(),
  DATABASE_URL: valid(faultOfDatabaseUrl).optional(),
  DATA_DIR: valid(faultOfFolder).default('.data'),
  FLUX_BASE_URL: baseUrlSchema.default('https://api.acedata.cloud'),
  FLUX_API_TOKEN: valid(faultOfToken).optional(),
  FLUX_MODE: z.enum(['callback', 'async', 'wait'], 'must be callback, async or wait').optional(),
  UPSTREAM_CONCURRENCY: integer(1, 200).default(24),
  FLUX_EDIT_ACTION: z.enum(['edit', 'edits'], 'must be edit or edits').optional(),
  ROLES: z
    .string()
    .default('api,worker')
    .transform((text) => text.split(',').map((role) => role.trim()))
    .pipe(z.array(z.enum(['api', 'worker'], 'must be api, worker, or both separated by a comma')).min(1)),
  SECRET_KEY: z
    .string()
    .refine(isLongSecret, {
      error: `must have at least ${MIN_SECRET_BYTES} characters. Create one with: openssl rand -base64 33`,
    })
    .optional(),
  SECRET_KEY_PREVIOUS: z
    .string()
    .default('')
    .transform(splitList)
    .pipe(
      z.array(
        z.string().refine(isLongSecret, {
          error: `must be keys of at least ${MIN_SECRET_BYTES} characters, separated by commas or spaces`,
        }),
      ),
    ),
  IMAGE_STORE: z.enum(['disk', 's3'], 'must be disk or s3').default('disk'),
  S3_ENDPOINT: baseUrlSchema.optional(),
  S3_BUCKET: z
    .string()
    .regex(/^[\w.-]+$/, 'must be the name of the bucket, without s3:// and slashes')
    .optional(),
  S3_REGION: z
    .string()
    .regex(/^[\w-]+$/, 'must be the code of a region, such as eu-central-1 or auto')
    .default('us-east-1'),
  S3_ACCESS_KEY: valid(faultOfToken).optional(),
  S3_SECRET_KEY: valid(faultOfToken).optional(),
  S3_PREFIX: z
    .string()
    .regex(
      /^([\w.-]+\/)*[\w.-]*$/,
      'must be letters, digits, dots, dashes and underscores, separated by slashes',
    )
    .default(''),
  S3_REDIRECT: z.enum(['true', 'false'], 'must be true or false').default('false'),
  MAX_IMAGE_BYTES: integer(1_024, MAX_IMAGE_BYTES, 'bytes').default(50 * 1024 * 1024),
  IMAGE_URL_TTL_SECONDS: integer(60, MAX_LINK_SECONDS, 'seconds').optional(),
  IMAGE_RETENTION_DAYS: integer(1, MAX_DAYS, 'days').optional(),
  ALLOW_PRIVATE_HOSTS: z
    .string()
    .default('')
    .transform(splitList)
    .refine((entries) => entries.every(isHostEntry), {
      error:
        'must be hosts as host or host:port, separated by commas, with IPv6 in brackets. Ranges and URLs are not supported, so name each host',
    }),
  HTTPS_PROXY: proxyUrlSchema.optional(),
  HTTP_PROXY: proxyUrlSchema.optional(),
  NO_PROXY: z
    .string()
    .default('')
    .transform(splitList)
    .refine((entries) => entries.every(isNoProxyEntry), {
      error:
        'must be *, or hosts such as example.com, .example.com, example.com:8080, 10.0.0.1 and 10.0.0.0/8, separated by commas',
    }),
  CALLBACK_RETENTION_DAYS: integer(1, MAX_DAYS, 'days').default(30),
  PRICES_FILE: z.string().optional(),
  PUSH_BUFFER_EVENTS: integer(1, 1_000_000).default(1_000),
  EVENT_REPLAY_DAYS: integer(1, MAX_DAYS, 'days').default(30),
  CONNECTIONS_PER_KEY: integer(1, MAX_LIMIT).default(20_000),
  ALLOWED_ORIGINS: z
    .string()
    .transform(splitList)
    .pipe(z.array(valid(faultOfOrigin).transform((origin) => parseOriginRule(origin) ?? origin)).min(1))
    .optional(),
  OIDC_ISSUER: valid(faultOfIssuer).optional(),
  OIDC_AUDIENCE: z.string().optional(),
  OIDC_WORKSPACE_CLAIM: z.string().default('workspace'),
  OIDC_SCOPE_CLAIM: z.string().default('scope'),
  TRUST_PROXY: integer(0, 10).default(0),
  QUERY_MAX_TOKENS: integer(1, MAX_QUERY_LIMIT).default(2_000),
  QUERY_MAX_DEPTH: integer(1, MAX_DEPTH).default(15),
  QUERY_MAX_ALIASES: integer(1, MAX_QUERY_LIMIT).default(30),
  QUERY_MAX_DIRECTIVES: integer(1, MAX_QUERY_LIMIT).default(30),
  QUERY_MAX_ROOT_FIELDS: integer(1, MAX_QUERY_LIMIT).default(20),
  QUERY_MAX_LIST_SIZE: integer(1, MAX_LIST_SIZE).default(1_000),
  QUERY_MAX_COST: integer(1, MAX_QUERY_LIMIT).default(10_000),
  OPERATIONS_PER_REQUEST: integer(1, MAX_OPERATIONS).default(1),
  INTROSPECTION: z.enum(['on', 'off'], 'must be on or off').default('on'),
  GRAPHQL_IDE: z.enum(['on', 'off'], 'must be on or off').optional(),
  LIMITS_PER_KEY: limitsSchema(),
  LIMITS_PER_END_USER: limitsSchema(END_USER_LIMITS),
  LIMITS_PER_WORKSPACE: limitsSchema(),
  LOG_LEVEL: z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`).default('info'),
});
export type EnvironmentValues = z.infer<typeof environmentSchema>;

/** Splits a list at commas, spaces and line breaks. */
function splitList(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== '');
}

function isLimitAssignment(text: string): boolean {
  const [name, value = ''] = text.split('=');
  return (
    LIMIT_NAMES.some((limitName) => limitName === name) &&
    /^[1-9]\d{0,9}$/.test(value) &&
    Number(value) <= MAX_LIMIT
  );
}

function faultOfFolder(text: string): string | null {
  if (text.startsWith('~')) return 'must not begin with ~, which only shells replace. Write the whole path';
  if (/^[a-z][\w+.-]+:\/\//i.test(text)) return 'must be the path of a folder, not a URL';
  return null;
}

function faultOfIssuer(text: string): string | null {
  const url = parseUrl(text);
  if (!url || !/^https?:\/\//.test(text) || /[\s?#]/.test(text))
    return 'must be a URL such as https://id.example.com, exactly as in the claim `iss` of its tokens';
  if (url.pathname.includes('/.well-known/'))
    return 'must be the issuer, not its discovery document. Leave out /.well-known/ and what follows';
  return null;
}
