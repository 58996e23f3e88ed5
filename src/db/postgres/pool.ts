import pg from 'pg';
import { type Logger } from 'pino';
import { parseUrl } from '../../core/primitives/url.js';
import { mustReplaceConnection } from './database-errors.js';

/** How long a request waits for a free or new connection before it fails with DatabaseUnavailable. */
export const CONNECT_TIMEOUT_MS = 5_000;
/**
 * How long a statement waits for its result, unless it names another limit. A connection behind a network that lost it
 * receives nothing, not even an error, so only this side can give up. Statements of requests and jobs take milliseconds.
 */
const STATEMENT_TIMEOUT_MS = 5_000;
/**
 * What statements, the parsers of their results and Prisma Client rely on. A server, a database or a login can have other
 * defaults. Prisma Client, for one, sends and reads times without a zone. The names are as PostgreSQL reports them.
 */
export const SESSION_SETTINGS = {
  TimeZone: 'UTC',
  DateStyle: 'ISO, MDY',
  // No server has this default, so it shows whether the settings arrived (`lacksSettings`). No statement returns an interval.
  IntervalStyle: 'iso_8601',
  standard_conforming_strings: 'on',
  search_path: 'public',
  default_transaction_isolation: 'read committed',
  row_security: 'on',
  bytea_output: 'hex',
  extra_float_digits: '1',
  transform_null_equals: 'off',
  // PostgreSQL checks this often whether the client of a running statement has given up, and then cancels it.
  client_connection_check_interval: '2s',
};
const SET_SETTINGS = `SELECT ${Object.entries(SESSION_SETTINGS)
  .map(([name, value]) => `set_config('${name}', '${value}', false)`)
  .join(', ')}`;
/**
 * A new connection costs tens of milliseconds for its authentication and the planning of each statement, in the middle of a
 * burst of requests. So the connections of the last burst stay open for a while.
 */
const IDLE_TIMEOUT_MS = 300_000;

interface PoolOptions {
  url: string;
  maxConnections: number;
  log: Logger;
}

interface Internals {
  query(this: pg.Client, ...args: unknown[]): unknown;
  connect(this: pg.Client, ...args: unknown[]): unknown;
}
/**
 * Undocumented, and the only way to learn what PostgreSQL reports at the start of a session. session-settings.test.ts checks
 * it.
 */
interface Connection {
  on(event: 'parameterStatus', listener: (status: ParameterStatus) => void): void;
}
interface ParameterStatus {
  parameterName: string;
  parameterValue: string;
}

/**
 * A connection to PostgreSQL with our settings, whatever the defaults of the server. They are part of the startup packet, so
 * they take no round trip. A connection pooler can drop them from it, and then they are set by a statement.
 *
 * It ends after an error that it would repeat. The pool does so only for its own `query`, but libraries return such a
 * connection to the pool as if it were good.
 */
export class DatabaseClient extends pg.Client {
  /** The settings that PostgreSQL has reported, by name. */
  readonly reported = new Map<string, string>();

  constructor(config: pg.ClientConfig = {}) {
    super({ ...config, ...withSettings(config.connectionString ?? '') });
    // Its next statement fails as well. Without a listener, a connection that breaks while it is not in use ends the process.
    this.on('error', () => undefined);
    const { connection } = this as unknown as { connection: Connection };
    connection.on('parameterStatus', ({ parameterName, parameterValue }) =>
      this.reported.set(parameterName, parameterValue),
    );
  }

  /** Whether the settings of the startup packet did not arrive. */
  get lacksSettings(): boolean {
    return this.reported.get('IntervalStyle') !== SESSION_SETTINGS.IntervalStyle;
  }
}
/*
 * Replaces `query` and `connect` of the class above, not of pg itself. `query` closes the connection after an error that it would
 * repeat, and `connect` adds our settings if a pooler dropped them. Both rely on what pg's own methods return without a callback:
 * a promise. test/db/postgres/pool.test.ts and session-settings.test.ts fail if a new pg does otherwise.
 */
const prototype = DatabaseClient.prototype as unknown as Internals;
const original = pg.Client.prototype as unknown as Internals;
// `query` and `connect` have overloads, which one method of the class could not declare.
prototype.query = function (...args) {
  const result = original.query.apply(this, args);
  if (result instanceof Promise)
    result.catch((error: unknown) => {
      if (mustReplaceConnection(error)) void this.end().catch(() => undefined);
    });
  return result;
};
prototype.connect = function (this: DatabaseClient, callback?: unknown) {
  const connected = (original.connect.call(this) as Promise<pg.Client>).catch(markFatal).then(async () => {
    try {
      if (this.lacksSettings) await this.query(SET_SETTINGS);
    } catch (error) {
      // The pool forgets a client that did not connect.
      void this.end().catch(() => undefined);
      throw error;
    }
    return this;
  });
  if (typeof callback !== 'function') return connected;
  void connected.then(
    () => (callback as (error: unknown) => void)(null),
    (error: unknown) => (callback as (error: unknown) => void)(error),
  );
  return undefined;
};

/** Whatever PostgreSQL answers to a new connection has ended it. It writes the severity in the language of its logs. */
function markFatal(error: unknown): never {
  if (error instanceof pg.DatabaseError) error.severity = 'FATAL';
  throw error;
}

/** Our settings come after those of the URL, whose other settings stay. pg would let the URL replace ours. */
function withSettings(url: string): Pick<pg.ClientConfig, 'connectionString' | 'options'> {
  const settings = Object.entries(SESSION_SETTINGS).map(
    ([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`,
  );
  const parsed = parseUrl(url);
  const given = parsed?.searchParams.get('options');
  if (!parsed || !given) return { connectionString: url, options: settings.join(' ') };
  parsed.searchParams.delete('options');
  return { connectionString: parsed.href, options: [given, ...settings].join(' ') };
}

/** The connections of this process. */
export function createPool({ url, maxConnections, log }: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    Client: DatabaseClient,
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'darkroom',
  });
  // The pool replaces a broken connection at its next use. Without a listener the error would end the process.
  pool.on('error', (error) => {
    if (!pool.ending) log.warn({ error: error.message }, 'a database connection was lost');
  });
  // The queue warns of a pool without this.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}
