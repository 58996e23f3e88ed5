import { AsyncLocalStorage } from 'node:async_hooks';
import { channel } from 'node:diagnostics_channel';
import { type IncomingMessage } from 'node:http';
import { jest } from '@jest/globals';
import pg from 'pg';
import { Database, type Statement } from '../../../src/db/postgres/database.js';

/** Says which question of the test a request is. */
export const QUESTION = 'x-question';
/**
 * They depend on when was last asked, not on what is asked for: whose key it is (believed for seconds), what its limits
 * leave (taken in portions; places for its connections), and sealing, which goes on beside.
 */
const OF_THE_ASKER =
  /^(find-key-by|take-allowance|hold-connections|join-holders|seal-events|last-event-before|mark-keys-used|find-live-keys)/;

/** Writes down which statements each request runs: what takes the same statements takes the same time. */
export class Statements {
  private readonly asked = new AsyncLocalStorage<string[] | undefined>();
  private readonly byQuestion = new Map<string, string[]>();
  private readonly starts = channel('http.server.request.start');

  start(): void {
    this.starts.subscribe(this.begin);
    const note = (name: string) => {
      if (!OF_THE_ASKER.test(name)) this.asked.getStore()?.push(name);
    };
    const pools = pg.Pool.prototype as unknown as { query: (this: pg.Pool, ...args: unknown[]) => unknown };
    const { query } = pools;
    // The statement runs as ever; only its name is written down.
    jest.spyOn(pools, 'query').mockImplementation(function (this: pg.Pool, ...args) {
      const statement = args[0] as string | { name?: string; text?: string };
      const name =
        typeof statement === 'string' ? statement : (statement.name ?? shortened(statement.text ?? ''));
      note(name);
      return query.apply(this, args);
    });
    // Those behind row-level security go past the pool's own queries.
    const databases = Database.prototype as unknown as {
      within: (this: Database, ...args: unknown[]) => unknown;
    };
    const { within } = databases;
    jest.spyOn(databases, 'within').mockImplementation(function (this: Database, ...args) {
      note((args[1] as Statement).name);
      return within.apply(this, args);
    });
  }

  stop(): void {
    this.starts.unsubscribe(this.begin);
    jest.restoreAllMocks();
  }

  /** What the request with this question ran; it is forgotten then. */
  take(question: string): string[] {
    const found = this.byQuestion.get(question) ?? [];
    this.byQuestion.delete(question);
    return found;
  }

  /** From here on, in whatever this request sets going. */
  private readonly begin = (message: unknown): void => {
    const { request } = message as { request: IncomingMessage };
    const question = request.headers[QUESTION];
    const statements: string[] | undefined = typeof question === 'string' ? [] : undefined;
    if (typeof question === 'string' && statements) this.byQuestion.set(question, statements);
    this.asked.enterWith(statements);
  };
}

/** What Prisma writes, without its columns. */
function shortened(text: string): string {
  return text
    .replace(/^SELECT .*? FROM /, 'SELECT … FROM ')
    .replaceAll('"public".', '')
    .replace(/\$\d+(,\$\d+)*/g, '$');
}
