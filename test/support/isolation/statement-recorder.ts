import { AsyncLocalStorage } from 'node:async_hooks';
import { channel } from 'node:diagnostics_channel';
import { type IncomingMessage } from 'node:http';
import { jest } from '@jest/globals';
import pg from 'pg';
import { Database } from '../../../src/db/postgres/database.js';

/** Identifies the request of a probe. */
export const PROBE_ID_HEADER = 'x-probe-id';

/**
 * These statements depend on the time since the last request, not on the arguments of this one. They look up the API key,
 * which is cached for seconds, reserve rate limits and connection slots, which happens in batches, and seal events and record
 * the use of keys, which happens in the background. `/readyz` keeps what it found for a while. A new connection prepares
 * `enter-workspace`.
 */
const TIME_DEPENDENT_STATEMENTS =
  /^(find-key-by|acquire-rate-limit|adjust-connection-slots|create-connection-lease|seal-events|find-last-position-before|find-sequences-running-out|find-submission-pace|UPDATE api_keys SET last_used_at|SELECT … FROM api_keys WHERE \(api_keys.id IN|enter-workspace)/;

/** Records the statements of each request. Two requests with the same statements also take the same time. */
export class StatementRecorder {
  private readonly currentStatements = new AsyncLocalStorage<string[] | undefined>();
  private readonly statementsByProbe = new Map<string, string[]>();
  /** Every statement that was recorded. */
  readonly seen = new Set<string>();
  private readonly requestStarts = channel('http.server.request.start');

  start(): void {
    this.requestStarts.subscribe(this.onRequestStart);
    const record = (name: string) => {
      const statements = this.currentStatements.getStore();
      if (!statements || TIME_DEPENDENT_STATEMENTS.test(name)) return;
      statements.push(name);
      this.seen.add(name);
    };
    const poolPrototype = pg.Pool.prototype as unknown as {
      query: (this: pg.Pool, ...args: unknown[]) => unknown;
    };
    const { query } = poolPrototype;
    const nameOf = (statement: string | { name?: string; text?: string }) =>
      shorten(typeof statement === 'string' ? statement : (statement.name ?? statement.text ?? ''));
    // Each mock records the name and then runs the statement as usual.
    jest.spyOn(poolPrototype, 'query').mockImplementation(function (this: pg.Pool, ...args) {
      record(nameOf(args[0] as string));
      return query.apply(this, args);
    });
    // Transactions, such as those of Prisma Client for callers, use a connection. Those of the pool pass a callback, and
    // those of `executeAsCaller` an object that sends itself.
    const clientPrototype = pg.Client.prototype as unknown as {
      query: (this: pg.Client, ...args: unknown[]) => unknown;
    };
    const { query: clientQuery } = clientPrototype;
    jest.spyOn(clientPrototype, 'query').mockImplementation(function (this: pg.Client, ...args) {
      const isOwn = typeof args.at(-1) !== 'function' && !('submit' in Object(args[0]));
      if (isOwn) record(nameOf(args[0] as string));
      return clientQuery.apply(this, args);
    });
    // Statements behind row-level security do not go through `query` of the pool.
    const databasePrototype = Database.prototype as unknown as {
      executeAsCaller: (this: Database, ...args: [string, { name: string }, object]) => unknown;
    };
    const { executeAsCaller } = databasePrototype;
    jest.spyOn(databasePrototype, 'executeAsCaller').mockImplementation(function (this: Database, ...args) {
      record(args[1].name);
      return executeAsCaller.apply(this, args);
    });
  }

  stop(): void {
    this.requestStarts.unsubscribe(this.onRequestStart);
    jest.restoreAllMocks();
  }

  /** Returns the statements of a request, and forgets them. */
  take(probeId: string): string[] {
    const statements = this.statementsByProbe.get(probeId) ?? [];
    this.statementsByProbe.delete(probeId);
    return statements;
  }

  /** Records from here on, in everything that the request starts. */
  private readonly onRequestStart = (message: unknown): void => {
    const { request } = message as { request: IncomingMessage };
    const probeId = request.headers[PROBE_ID_HEADER];
    const statements: string[] | undefined = typeof probeId === 'string' ? [] : undefined;
    if (typeof probeId === 'string' && statements) this.statementsByProbe.set(probeId, statements);
    this.currentStatements.enterWith(statements);
  };
}

/** A statement of Prisma Client, without its columns. */
function shorten(text: string): string {
  return text
    .replace(/^SELECT .*? FROM /, 'SELECT … FROM ')
    .replaceAll('"public".', '')
    .replaceAll('"', '')
    .replace(/\$\d+(,\$\d+)*/g, '$');
}
