import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Environment, describeReadError, readSecretFiles, SECRET_VARIABLES } from './secret-files.js';
import { faultOfValue } from './secret-text.js';
import { type EnvironmentValues, environmentSchema } from './variables.js';
import { conflictsOf } from './conflicts.js';
import { BadRequest, ConfigInvalid } from '../core/errors.js';
import { decodeUtf8 } from '../core/primitives/encoding/utf8.js';
import { parsePriceFile } from '../core/billing/price-file.js';
import { type Price } from '../core/billing/prices.js';
import { withoutTrailingSlashes } from '../core/primitives/url.js';

const MAX_SHOWN_LENGTH = 100;

/** The validated configuration with its defaults. .env.example explains each variable. */
export type Config = ReturnType<typeof toConfig>;

/** Reads the environment. Throws ConfigInvalid that lists every error. The message never contains the value of a secret. */
export function readConfig(environment: Environment): Config {
  const errors: string[] = [];
  const variables = readSecretFiles(environment, errors);
  errors.push(...faultsOfValues(variables));
  const parsed = environmentSchema.safeParse(variables);
  for (const { path, message } of parsed.error?.issues ?? [])
    if (!errors.some((error) => error.startsWith(`${String(path[0])}: `)))
      errors.push(describeError(String(path[0]), message, variables));
  if (parsed.success) errors.push(...conflictsOf(parsed.data, variables));
  const prices = readPrices(variables.PRICES_FILE, errors);
  if (!parsed.success || errors.length > 0) {
    throw new ConfigInvalid(
      `The configuration is invalid:\n${[...new Set(errors)].map((error) => `  ${error}`).join('\n')}`,
    );
  }
  return toConfig(parsed.data, prices);
}

/** For programs that use the database without the service. Reads nothing else. Throws as `readConfig` does. */
export function readDatabaseConfig(environment: Environment): Pick<Config, 'databaseUrl' | 'dataDir'> {
  const { DATABASE_URL, DATABASE_URL_FILE, DATA_DIR } = environment;
  const { databaseUrl, dataDir } = readConfig({ DATABASE_URL, DATABASE_URL_FILE, DATA_DIR });
  return { databaseUrl, dataDir };
}

/** Mistakes that any variable can have. Another error of such a variable would only be confusing. */
function faultsOfValues(variables: Environment): string[] {
  const names = Object.keys(environmentSchema.shape);
  return names.flatMap((name) => {
    const fault = faultOfValue(name, variables[name] ?? '');
    return fault === null ? [] : [describeError(name, fault, variables)];
  });
}

function toConfig(values: EnvironmentValues, prices: readonly Price[]) {
  const usesSandbox = values.FLUX_API_TOKEN === undefined;
  return {
    host: values.HOST,
    port: values.PORT,
    /** Without a trailing slash. Null: the service may be unreachable from outside this machine. */
    publicUrl: values.PUBLIC_URL ?? null,
    /** Null: the embedded PostgreSQL is used. */
    databaseUrl: values.DATABASE_URL ?? null,
    dataDir: resolve(values.DATA_DIR),
    flux: {
      baseUrl: values.FLUX_BASE_URL,
      /** Null: the sandbox is mounted and used. */
      token: values.FLUX_API_TOKEN ?? null,
      mode: values.FLUX_MODE ?? (values.PUBLIC_URL || usesSandbox ? 'callback' : 'async'),
      editAction: values.FLUX_EDIT_ACTION ?? null,
      /** Submissions under way at the same time, of all instances together. No single instance exceeds it either. */
      maxConcurrentSubmissions: values.UPSTREAM_CONCURRENCY,
    },
    roles: { api: values.ROLES.includes('api'), worker: values.ROLES.includes('worker') },
    /** Null: the key is created at the first start and stored in the data directory. */
    secretKey: values.SECRET_KEY === undefined ? null : Buffer.from(values.SECRET_KEY),
    /** Earlier keys, whose signatures are still valid. */
    previousSecretKeys: values.SECRET_KEY_PREVIOUS.map((key) => Buffer.from(key)),
    images: {
      /** Null: images are stored in the folder `images` of the data directory. */
      s3: toS3Config(values),
      maxBytes: values.MAX_IMAGE_BYTES,
      /** The lifetime of image links. Null: unlimited. */
      linkTtlSeconds: values.IMAGE_URL_TTL_SECONDS ?? null,
      /** How long images are kept. Null: forever. */
      retentionDays: values.IMAGE_RETENTION_DAYS ?? null,
      /** Hosts at private addresses that requests may reach, as `host` or `host:port`. */
      allowPrivateHosts: values.ALLOW_PRIVATE_HOSTS,
    },
    push: {
      /** The maximum of events that a subscriber's network has not accepted yet. */
      maxBufferedEvents: values.PUSH_BUFFER_EVENTS,
      /** The maximum age of a subscription's cursor. */
      replayDays: values.EVENT_REPLAY_DAYS,
      /** The maximum of WebSockets, event streams and held requests with one API key, on each instance. */
      maxConnectionsPerKey: values.CONNECTIONS_PER_KEY,
      /** The origins of pages that may send requests and connect. Null: any. */
      allowedOrigins: values.ALLOWED_ORIGINS ?? null,
    },
    /** How requests to upstreams, image hosts and webhook endpoints leave the network. */
    proxy: {
      https: values.HTTPS_PROXY ?? null,
      http: values.HTTP_PROXY ?? null,
      exceptions: values.NO_PROXY,
    },
    /** The operator's identity provider, whose access tokens are accepted. Null: none. */
    oidc: toOidcConfig(values),
    /** The operator's proxies between clients and the service. Trusts as many entries of X-Forwarded-For. */
    trustedProxyCount: values.TRUST_PROXY,
    graphql: {
      /** The limits of a document, on every transport. */
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
      /**
       * Whether a browser that opens `/graphql` gets an IDE. It is on by default only with the sandbox: a page where people enter
       * API keys is opt-in in production.
       */
      ide: values.GRAPHQL_IDE === undefined ? usesSandbox : values.GRAPHQL_IDE === 'on',
      /** With more than one, an HTTP request can hold a list of operations. */
      maxOperationsPerRequest: values.OPERATIONS_PER_REQUEST,
    },
    /** Default limits. Absent: no limit. An API key's own limits take precedence over `key`. */
    limits: {
      key: values.LIMITS_PER_KEY,
      endUser: values.LIMITS_PER_END_USER,
      workspace: values.LIMITS_PER_WORKSPACE,
    },
    /** How long upstream callbacks and webhook attempts are kept. */
    callbackRetentionDays: values.CALLBACK_RETENTION_DAYS,
    /** The price list. Empty: all prices are unknown. */
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

function toS3Config(values: EnvironmentValues) {
  if (values.IMAGE_STORE !== 's3') return null;
  const prefix = withoutTrailingSlashes(values.S3_PREFIX);
  return {
    endpoint: values.S3_ENDPOINT ?? '',
    bucket: values.S3_BUCKET ?? '',
    region: values.S3_REGION,
    accessKeyId: values.S3_ACCESS_KEY ?? '',
    secretAccessKey: values.S3_SECRET_KEY ?? '',
    /** Prepended to every object key. Empty, or with a trailing slash. */
    prefix: prefix && `${prefix}/`,
    /** Redirect browsers to the bucket instead of proxying its bytes. */
    redirectToBucket: values.S3_REDIRECT === 'true',
  };
}

function readPrices(file: string | undefined, errors: string[]): Price[] {
  if (file === undefined) return [];
  try {
    const { prices, errors: priceErrors } = parsePriceFile(decodeUtf8(readFileSync(file), 'The file'));
    errors.push(...priceErrors.map((error) => `PRICES_FILE: ${file} ${error}`));
    return prices;
  } catch (error) {
    const problem =
      error instanceof BadRequest ? `${file}: ${error.message}` : describeReadError(file, error);
    errors.push(`PRICES_FILE: ${problem}`);
    return [];
  }
}

function toOidcConfig(values: EnvironmentValues) {
  const { OIDC_ISSUER: issuer, OIDC_AUDIENCE: audience } = values;
  if (issuer === undefined || audience === undefined) return null;
  return {
    /** Must equal the claim `iss` of its tokens. */
    issuer,
    audience,
    workspaceClaim: values.OIDC_WORKSPACE_CLAIM,
    scopeClaim: values.OIDC_SCOPE_CLAIM,
  };
}
