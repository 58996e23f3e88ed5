import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { ConfigInvalid } from './core/errors.js';
import { LIMIT_NAMES, type Limits } from './core/limits.js';
import { readPriceFile } from './core/price-file.js';
import { type Price } from './core/prices.js';
import { type QueryLimits } from './graphql/query-limits.js';

/** Everything that can be configured, checked and with its defaults filled in. .env.example explains each variable. */
export interface Config {
  host: string;
  port: number;
  /** Without a slash at the end; null: nobody outside this machine reaches us, as far as we know. */
  publicUrl: string | null;
  /** Null: the embedded PostgreSQL. */
  databaseUrl: string | null;
  dataDir: string;
  flux: {
    baseUrl: string;
    /** Null: the sandbox is mounted and used. */
    token: string | null;
    mode: 'callback' | 'async' | 'wait';
    editAction: 'edit' | 'edits' | null;
    /** Requests to the upstream at once, of each instance. */
    concurrency: number;
  };
  roles: { api: boolean; worker: boolean };
  /** Null: made once and kept in the data directory. */
  secretKey: Buffer | null;
  /** Earlier ones: what they signed is still believed. */
  oldSecretKeys: Buffer[];
  push: {
    /** Events handed to a watcher's connection that its network has not taken. */
    bufferEvents: number;
    /** How far back a cursor may lie. */
    replayDays: number;
    /** WebSockets, event streams and waiting requests with the same key, on each instance. */
    connectionsPerKey: number;
    /** Pages that may connect and ask, as origins; null: any. */
    allowedOrigins: readonly string[] | null;
  };
  images: {
    /** Null: the folder `images` in the data directory. */
    s3: S3Config | null;
    maxBytes: number;
    /** How long links to pictures serve; null: for ever. */
    linkSeconds: number | null;
    /** How long pictures are kept; null: for ever. */
    retentionDays: number | null;
    /** Hosts with private addresses that may be fetched from all the same, as `host` or `host:port`. */
    allowPrivateHosts: readonly string[];
  };
  /** Proxies of the operator's own between clients and us: so many entries of X-Forwarded-For are believed. */
  trustedProxies: number;
  /** The operator's identity provider, whose access tokens are taken; null: there is none. */
  oidc: {
    /** Exactly as its tokens name it. */
    issuer: string;
    audience: string;
    workspaceClaim: string;
    scopeClaim: string;
  } | null;
  graphql: {
    /** What a document may have, on every transport. */
    limits: QueryLimits;
    /** Whether the schema can be asked for. */
    introspection: boolean;
    /** Whether a person who opens `/graphql` is shown an IDE. */
    ide: boolean;
    /** More than one: a request over HTTP can be a list of operations. */
    operationsPerRequest: number;
  };
  /** What holds where a key has no limit of its own; absent: no limit. */
  limits: { key: Limits; endUser: Limits; workspace: Limits };
  /** How long callbacks are kept as they came, and the attempts to deliver ours. */
  callbackRetentionDays: number;
  /** What pictures cost; empty: nobody has said. */
  prices: readonly Price[];
  logLevel: (typeof LOG_LEVELS)[number];
}

/** A bucket of any service that speaks S3. */
export interface S3Config {
  endpoint: string;
  bucket: string;
  region: string;
  accessKey: string;
  secretKey: string;
  /** Before every key; empty, or with a slash at the end. */
  prefix: string;
  /** Send browsers to the bucket instead of passing its bytes on. */
  redirects: boolean;
}

export type Environment = Readonly<Record<string, string | undefined>>;

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
/** Secrets can come from files, as container platforms mount them: NAME_FILE instead of NAME. */
const SECRETS = ['DATABASE_URL', 'FLUX_API_TOKEN', 'SECRET_KEY', 'SECRET_KEY_OLD', 'S3_SECRET_KEY'] as const;
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

const schema = z.object({
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

/** Reads the environment. Throws ConfigInvalid with every fault in it at once; values of secrets are never repeated. */
export function readConfig(environment: Environment): Config {
  const faults: string[] = [];
  const given = withSecretFiles(environment, faults);
  const parsed = schema.safeParse(given);
  for (const { path, message } of parsed.error?.issues ?? [])
    faults.push(`${path.slice(0, 1).join('.')}: ${message}`);
  if (
    parsed.success &&
    parsed.data.FLUX_MODE === 'callback' &&
    parsed.data.FLUX_API_TOKEN &&
    !parsed.data.PUBLIC_URL
  ) {
    faults.push(
      'PUBLIC_URL: FLUX_MODE=callback needs an address at which the upstream reaches this service; set it, or use async',
    );
  }
  if (parsed.success && parsed.data.STORE === 's3') {
    for (const name of ['S3_ENDPOINT', 'S3_BUCKET', 'S3_ACCESS_KEY', 'S3_SECRET_KEY'] as const) {
      if (parsed.data[name] === undefined) faults.push(`${name}: STORE=s3 needs it`);
    }
  }
  const prices = readPrices(given.PRICES_FILE, faults);
  if (
    parsed.success &&
    (parsed.data.OIDC_ISSUER === undefined) !== (parsed.data.OIDC_AUDIENCE === undefined)
  ) {
    faults.push(
      'OIDC_ISSUER: goes with OIDC_AUDIENCE; without the latter tokens for other services would be taken',
    );
  }
  if (!parsed.success || faults.length > 0) {
    throw new ConfigInvalid(
      `The configuration cannot be used:\n${faults.map((fault) => `  ${fault}`).join('\n')}`,
    );
  }
  const values = parsed.data;
  const usesSandbox = values.FLUX_API_TOKEN === undefined;
  return {
    host: values.HOST,
    port: values.PORT,
    publicUrl: values.PUBLIC_URL ?? null,
    databaseUrl: values.DATABASE_URL ?? null,
    dataDir: resolve(values.DATA_DIR),
    flux: {
      baseUrl: values.FLUX_BASE_URL,
      token: values.FLUX_API_TOKEN ?? null,
      mode: values.FLUX_MODE ?? (values.PUBLIC_URL || usesSandbox ? 'callback' : 'async'),
      editAction: values.FLUX_EDIT_ACTION ?? null,
      concurrency: values.UPSTREAM_CONCURRENCY,
    },
    roles: { api: values.ROLES.includes('api'), worker: values.ROLES.includes('worker') },
    secretKey: values.SECRET_KEY === undefined ? null : Buffer.from(values.SECRET_KEY),
    oldSecretKeys: values.SECRET_KEY_OLD.map((key) => Buffer.from(key)),
    images: {
      s3: s3Of(values),
      maxBytes: values.MAX_IMAGE_BYTES,
      linkSeconds: values.IMAGE_URL_TTL ?? null,
      retentionDays: values.RETENTION_DAYS ?? null,
      allowPrivateHosts: values.ALLOW_PRIVATE_HOSTS,
    },
    push: {
      bufferEvents: values.PUSH_BUFFER_EVENTS,
      replayDays: values.EVENT_REPLAY_DAYS,
      connectionsPerKey: values.CONNECTIONS_PER_KEY,
      allowedOrigins: values.ALLOWED_ORIGINS ?? null,
    },
    oidc: oidcOf(values),
    trustedProxies: values.TRUST_PROXY,
    graphql: {
      limits: {
        tokens: values.QUERY_MAX_TOKENS,
        depth: values.QUERY_MAX_DEPTH,
        aliases: values.QUERY_MAX_ALIASES,
        directives: values.QUERY_MAX_DIRECTIVES,
        rootFields: values.QUERY_MAX_ROOT_FIELDS,
        listSize: values.QUERY_MAX_LIST,
        cost: values.QUERY_MAX_COST,
      },
      introspection: values.INTROSPECTION === 'on',
      // Who tries things out has the sandbox. A page where people enter keys is nothing that a product has unasked.
      ide: values.GRAPHQL_IDE === undefined ? usesSandbox : values.GRAPHQL_IDE === 'on',
      operationsPerRequest: values.OPERATIONS_PER_REQUEST,
    },
    limits: {
      key: values.LIMITS_PER_KEY,
      endUser: values.LIMITS_PER_END_USER,
      workspace: values.LIMITS_PER_WORKSPACE,
    },
    callbackRetentionDays: values.CALLBACK_RETENTION_DAYS,
    prices,
    logLevel: values.LOG_LEVEL,
  };
}

type Values = z.infer<typeof schema>;

function s3Of(values: Values): S3Config | null {
  if (values.STORE !== 's3') return null;
  const prefix = values.S3_PREFIX.replace(/\/+$/, '');
  return {
    endpoint: values.S3_ENDPOINT ?? '',
    bucket: values.S3_BUCKET ?? '',
    region: values.S3_REGION,
    accessKey: values.S3_ACCESS_KEY ?? '',
    secretKey: values.S3_SECRET_KEY ?? '',
    prefix: prefix && `${prefix}/`,
    redirects: values.S3_REDIRECT === 'true',
  };
}

function readPrices(file: string | undefined, faults: string[]): Price[] {
  if (file === undefined) return [];
  try {
    const { prices, faults: found } = readPriceFile(readFileSync(file, 'utf8'));
    faults.push(...found.map((fault) => `PRICES_FILE: ${file} ${fault}`));
    return prices;
  } catch (error) {
    faults.push(`PRICES_FILE: ${unreadable(file, error)}`);
    return [];
  }
}

function unreadable(file: string, error: unknown): string {
  return `${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'error'})`;
}

function oidcOf(values: Values): Config['oidc'] {
  const { OIDC_ISSUER: issuer, OIDC_AUDIENCE: audience } = values;
  if (issuer === undefined || audience === undefined) return null;
  return {
    issuer,
    audience,
    workspaceClaim: values.OIDC_WORKSPACE_CLAIM,
    scopeClaim: values.OIDC_SCOPE_CLAIM,
  };
}

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
  return URL.canParse(text) && new URL(text).origin === text;
}

/** An empty variable is an absent one: compose files and shells set many of those. */
function withSecretFiles(environment: Environment, faults: string[]): Environment {
  const values = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  for (const name of SECRETS) {
    const file = values[`${name}_FILE`];
    if (file === undefined) continue;
    if (values[name] !== undefined) faults.push(`${name}: is set, and ${name}_FILE too; keep one of them`);
    try {
      values[name] = readFileSync(file, 'utf8').trim();
    } catch (error) {
      faults.push(`${name}_FILE: ${unreadable(file, error)}`);
    }
  }
  return values;
}
