import pg from 'pg';
import { type Logger } from 'pino';
import { mustReplaceConnection } from './database-errors.js';

/** How long a request waits for a free or new connection before it fails with DatabaseUnavailable. */
export const CONNECT_TIMEOUT_MS = 5_000;
/**
 * How long a statement waits for its result, unless it names another limit. A connection behind a network that lost it
 * receives nothing, not even an error, so only this side can give up. Statements of requests and jobs take milliseconds.
 */
export const STATEMENT_TIMEOUT_MS = 5_000;
/** PostgreSQL checks this often whether the client of a running statement has given up, and then cancels it. */
const DISCONNECT_CHECK = '-c client_connection_check_interval=2s';
/**
 * A new connection costs tens of milliseconds for its authentication and the planning of each statement, in the middle of a
 * burst of requests. So the connections of the last burst stay open for a while.
 */
const IDLE_TIMEOUT_MS = 300_000;

export interface PoolOptions {
  url: string;
  maxConnections: number;
  log: Logger;
}

/**
 * A connection that ends after an error that it would repeat. The pool does so only for its own `query`, but libraries return
 * such a connection to the pool as if it were good.
 */
class PooledClient extends pg.Client {}
const prototype = PooledClient.prototype as unknown as {
  query: (this: pg.Client, ...args: unknown[]) => unknown;
};
const original = pg.Client.prototype as unknown as typeof prototype;
// `query` has overloads, which one method of the class could not declare.
prototype.query = function (...args) {
  const result = original.query.apply(this, args);
  if (result instanceof Promise)
    result.catch((error: unknown) => {
      if (mustReplaceConnection(error)) void this.end().catch(() => undefined);
    });
  return result;
};

/** The connections of this process. */
export function createPool({ url, maxConnections, log }: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    Client: PooledClient,
    connectionString: url,
    max: maxConnections,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: STATEMENT_TIMEOUT_MS,
    idleTimeoutMillis: IDLE_TIMEOUT_MS,
    options: DISCONNECT_CHECK,
    keepAlive: true,
    application_name: 'darkroom',
  });
  // The pool replaces a broken connection at its next use. Without listeners the error would end the process.
  pool.on('error', (error) => {
    if (!pool.ending) log.warn({ error: error.message }, 'a database connection was lost');
  });
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}
