import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Environment, unreadable, withSecretFiles } from './secret-files.js';
import { type LOG_LEVELS, type Variables, VARIABLES } from './variables.js';
import { ConfigInvalid } from '../core/errors.js';
import { type Limits } from '../core/limits/limits.js';
import { readPriceFile } from '../core/billing/price-file.js';
import { type Price } from '../core/billing/prices.js';
import { type QueryLimits } from '../graphql/limits/query-limits.js';

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

/** Reads the environment. Throws ConfigInvalid with every fault in it at once; values of secrets are never repeated. */
export function readConfig(environment: Environment): Config {
  const faults: string[] = [];
  const given = withSecretFiles(environment, faults);
  const parsed = VARIABLES.safeParse(given);
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

function s3Of(values: Variables): S3Config | null {
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

function oidcOf(values: Variables): Config['oidc'] {
  const { OIDC_ISSUER: issuer, OIDC_AUDIENCE: audience } = values;
  if (issuer === undefined || audience === undefined) return null;
  return {
    issuer,
    audience,
    workspaceClaim: values.OIDC_WORKSPACE_CLAIM,
    scopeClaim: values.OIDC_SCOPE_CLAIM,
  };
}
