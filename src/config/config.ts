import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Environment, describeReadError, readSecretFiles, SECRET_VARIABLES } from './secret-files.js';
import { type LOG_LEVELS, type EnvironmentValues, environmentSchema } from './variables.js';
import { ConfigInvalid } from '../core/errors.js';
import { type Limits } from '../core/limits/limits.js';
import { parsePriceFile } from '../core/billing/price-file.js';
import { type Price } from '../core/billing/prices.js';
import { type QueryLimits } from '../graphql/limits/query-limits.js';

const MAX_SHOWN_LENGTH = 100;

/** The validated configuration with its defaults. .env.example explains each variable. */
export interface Config {
  host: string;
  port: number;
  /** Without a trailing slash. Null: the service may be unreachable from outside this machine. */
  publicUrl: string | null;
  /** Null: the embedded PostgreSQL is used. */
  databaseUrl: string | null;
  dataDir: string;
  flux: {
    baseUrl: string;
    /** Null: the sandbox is mounted and used. */
    token: string | null;
    mode: 'callback' | 'async' | 'wait';
    editAction: 'edit' | 'edits' | null;
    /** The maximum for each instance. */
    maxConcurrentRequests: number;
  };
  roles: { api: boolean; worker: boolean };
  /** Null: the key is created at the first start and stored in the data directory. */
  secretKey: Buffer | null;
  /** Earlier keys, whose signatures are still valid. */
  previousSecretKeys: Buffer[];
  push: {
    /** The maximum of events that a subscriber's network has not accepted yet. */
    maxBufferedEvents: number;
    /** The maximum age of a subscription's cursor. */
    replayDays: number;
    /** The maximum of WebSockets, event streams and held requests with one API key, on each instance. */
    maxConnectionsPerKey: number;
    /** Origins of pages that may send requests and connect. Null: any. */
    allowedOrigins: readonly string[] | null;
  };
  images: {
    /** Null: images are stored in the folder `images` of the data directory. */
    s3: S3Config | null;
    maxBytes: number;
    /** The lifetime of image links. Null: unlimited. */
    linkTtlSeconds: number | null;
    /** How long images are kept. Null: forever. */
    retentionDays: number | null;
    /** Hosts at private addresses that requests may reach, as `host` or `host:port`. */
    allowPrivateHosts: readonly string[];
  };
  /** The operator's proxies between clients and the service. Trusts as many entries of X-Forwarded-For. */
  trustedProxyCount: number;
  /** The operator's identity provider, whose access tokens are accepted. Null: none. */
  oidc: {
    /** Must equal the claim `iss` of its tokens. */
    issuer: string;
    audience: string;
    workspaceClaim: string;
    scopeClaim: string;
  } | null;
  graphql: {
    /** The limits of a document, on every transport. */
    limits: QueryLimits;
    introspection: boolean;
    /** Whether a browser that opens `/graphql` gets an IDE. */
    ide: boolean;
    /** With more than one, an HTTP request can hold a list of operations. */
    maxOperationsPerRequest: number;
  };
  /** Default limits. Absent: no limit. An API key's own limits take precedence over `key`. */
  limits: { key: Limits; endUser: Limits; workspace: Limits };
  /** How long upstream callbacks and webhook attempts are kept. */
  callbackRetentionDays: number;
  /** The price list. Empty: all prices are unknown. */
  prices: readonly Price[];
  logLevel: (typeof LOG_LEVELS)[number];
}

/** A bucket of an S3-compatible service. */
export interface S3Config {
  endpoint: string;
  bucket: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** Prepended to every object key. Empty, or with a trailing slash. */
  prefix: string;
  /** Redirect browsers to the bucket instead of proxying its bytes. */
  redirectToBucket: boolean;
}

/** Reads the environment. Throws ConfigInvalid that lists every error. The message never contains the value of a secret. */
export function readConfig(environment: Environment): Config {
  const errors: string[] = [];
  const variables = readSecretFiles(environment, errors);
  const parsed = environmentSchema.safeParse(variables);
  for (const { path, message } of parsed.error?.issues ?? [])
    errors.push(describeError(String(path[0]), message, variables));
  if (
    parsed.success &&
    parsed.data.FLUX_MODE === 'callback' &&
    parsed.data.FLUX_API_TOKEN &&
    !parsed.data.PUBLIC_URL
  ) {
    errors.push(
      'PUBLIC_URL: is required for FLUX_MODE=callback, so that the upstream can reach this service. Set it, or use FLUX_MODE=async',
    );
  }
  if (parsed.success && parsed.data.IMAGE_STORE === 's3') {
    for (const name of ['S3_ENDPOINT', 'S3_BUCKET', 'S3_ACCESS_KEY', 'S3_SECRET_KEY'] as const) {
      if (parsed.data[name] === undefined)
        errors.push(`${name}: is required for IMAGE_STORE=s3. Set it, or use IMAGE_STORE=disk`);
    }
  }
  const prices = readPrices(variables.PRICES_FILE, errors);
  if (
    parsed.success &&
    (parsed.data.OIDC_ISSUER === undefined) !== (parsed.data.OIDC_AUDIENCE === undefined)
  ) {
    errors.push(
      'OIDC_ISSUER: must be set together with OIDC_AUDIENCE. Set both, or neither. Without an audience, tokens for other services would be accepted',
    );
  }
  if (!parsed.success || errors.length > 0) {
    throw new ConfigInvalid(
      `The configuration is invalid:\n${[...new Set(errors)].map((error) => `  ${error}`).join('\n')}`,
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
      maxConcurrentRequests: values.UPSTREAM_CONCURRENCY,
    },
    roles: { api: values.ROLES.includes('api'), worker: values.ROLES.includes('worker') },
    secretKey: values.SECRET_KEY === undefined ? null : Buffer.from(values.SECRET_KEY),
    previousSecretKeys: values.SECRET_KEY_PREVIOUS.map((key) => Buffer.from(key)),
    images: {
      s3: readS3Config(values),
      maxBytes: values.MAX_IMAGE_BYTES,
      linkTtlSeconds: values.IMAGE_URL_TTL_SECONDS ?? null,
      retentionDays: values.IMAGE_RETENTION_DAYS ?? null,
      allowPrivateHosts: values.ALLOW_PRIVATE_HOSTS,
    },
    push: {
      maxBufferedEvents: values.PUSH_BUFFER_EVENTS,
      replayDays: values.EVENT_REPLAY_DAYS,
      maxConnectionsPerKey: values.CONNECTIONS_PER_KEY,
      allowedOrigins: values.ALLOWED_ORIGINS ?? null,
    },
    oidc: readOidcConfig(values),
    trustedProxyCount: values.TRUST_PROXY,
    graphql: {
      limits: {
        tokens: values.QUERY_MAX_TOKENS,
        depth: values.QUERY_MAX_DEPTH,
        aliases: values.QUERY_MAX_ALIASES,
        directives: values.QUERY_MAX_DIRECTIVES,
        rootFields: values.QUERY_MAX_ROOT_FIELDS,
        listSize: values.QUERY_MAX_LIST_SIZE,
        cost: values.QUERY_MAX_COST,
      },
      introspection: values.INTROSPECTION === 'on',
      // The IDE is on by default only with the sandbox. A page where people enter API keys is opt-in in production.
      ide: values.GRAPHQL_IDE === undefined ? usesSandbox : values.GRAPHQL_IDE === 'on',
      maxOperationsPerRequest: values.OPERATIONS_PER_REQUEST,
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

/** Adds the value, unless it is a secret or a URL that may contain a password. */
function describeError(name: string, message: string, variables: Environment): string {
  const value = variables[name] ?? '';
  const isSecret = SECRET_VARIABLES.some((secret) => secret === name) || value.includes('@');
  return isSecret
    ? `${name}: ${message}`
    : `${name}: ${message} (value: "${value.slice(0, MAX_SHOWN_LENGTH)}")`;
}

function readS3Config(values: EnvironmentValues): S3Config | null {
  if (values.IMAGE_STORE !== 's3') return null;
  const prefix = values.S3_PREFIX.replace(/\/+$/, '');
  return {
    endpoint: values.S3_ENDPOINT ?? '',
    bucket: values.S3_BUCKET ?? '',
    region: values.S3_REGION,
    accessKeyId: values.S3_ACCESS_KEY ?? '',
    secretAccessKey: values.S3_SECRET_KEY ?? '',
    prefix: prefix && `${prefix}/`,
    redirectToBucket: values.S3_REDIRECT === 'true',
  };
}

function readPrices(file: string | undefined, errors: string[]): Price[] {
  if (file === undefined) return [];
  try {
    const { prices, errors: priceErrors } = parsePriceFile(readFileSync(file, 'utf8'));
    errors.push(...priceErrors.map((error) => `PRICES_FILE: ${file} ${error}`));
    return prices;
  } catch (error) {
    errors.push(`PRICES_FILE: ${describeReadError(file, error)}`);
    return [];
  }
}

function readOidcConfig(values: EnvironmentValues): Config['oidc'] {
  const { OIDC_ISSUER: issuer, OIDC_AUDIENCE: audience } = values;
  if (issuer === undefined || audience === undefined) return null;
  return {
    issuer,
    audience,
    workspaceClaim: values.OIDC_WORKSPACE_CLAIM,
    scopeClaim: values.OIDC_SCOPE_CLAIM,
  };
}
