import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { type Logger } from 'pino';
import { DatabaseUnavailable } from '../../core/errors.js';
import { callerQuery, type CallersStatement, ENTER, enterValues } from './caller-query.js';
import { PrismaClient } from '../generated/client.js';

export interface DatabaseOptions {
  url: string;
  /** Connections of this instance; the queue's workers and the requests share them. */
  maxConnections: number;
  log: Logger;
}

/** A statement that is prepared once per connection under its name. */
export interface Statement {
  name: string;
  text: string;
  /**
   * For `within`: one plan is good for all values, so it is planned once for each connection. Postgres itself would plan some
   * statements each time, which costs a look by ids more than all the rest.
   */
  planOnce?: boolean;
}

/** How long a request waits for a free connection, or for a new one, before it is told that the database is away. */
const CONNECT_TIMEOUT_MS = 5_000;
/**
 * A new connection costs tens of milliseconds, its sign-in and the planning of each statement, and is opened when a burst has no
 * time for it; so those of the last burst are kept for a while.
 */
const IDLE_MS = 300_000;
/**
 * SQLSTATE classes and codes that mean "not now": connection failures, shutdown, start-up, resources that are used up (disk,
 * memory, connections), and a deadlock, whose victim has written nothing and may come again.
 */
const UNAVAILABLE_STATES = /^(08...|53...|57P0[1-4]|40P01)$/;
/** There is no such role, we may not become it, or it may not read; and it does not find the tables. */
const NOT_HELD_STATES = /^(22023|42501|42P01)$/;
const UNAVAILABLE_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
]);

/** The one pool of connections: Prisma Client for reads and administration, `run` for the hot statements. */
export class Database {
  readonly pool: pg.Pool;
  readonly prisma: PrismaClient;
  private closing = false;
  /** Null: nobody has asked yet. */
  private holds: Promise<boolean> | null = null;
  /** The connections that have prepared ENTER. */
  private readonly canEnter = new WeakSet<pg.PoolClient>();

  constructor(readonly options: DatabaseOptions) {
    this.pool = new pg.Pool({
      connectionString: options.url,
      max: options.maxConnections,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      idleTimeoutMillis: IDLE_MS,
      keepAlive: true,
      application_name: 'darkroom',
    });
    // A connection that breaks is replaced at the next use; without listeners the process would end.
    this.pool.on('error', (error) => {
      if (!this.closing) options.log.warn({ error: error.message }, 'a database connection was lost');
    });
    this.pool.on('connect', (client) => client.on('error', () => undefined));
    this.prisma = new PrismaClient({ adapter: new PrismaPg(this.pool) });
  }

  /** Runs one statement, in any workspace. Throws DatabaseUnavailable when Postgres cannot be reached; other errors as they are. */
  async run<Row extends object>(statement: Statement, values: unknown[]): Promise<Row[]> {
    const { name, text } = statement;
    return this.guard(async () => (await this.pool.query<Row>({ name, text, values })).rows);
  }

  /**
   * Runs a caller's statement, which reads nothing but rows of this workspace, whatever it says: the second line behind its
   * own conditions. `run` is for our own work, and for what callers write.
   */
  async within<Row extends object>(
    workspaceId: string,
    statement: Statement,
    values: unknown[],
  ): Promise<Row[]> {
    if (!(await this.holdCallers())) return this.run(statement, values);
    const { name, text, planOnce = false } = statement;
    return this.guard(() => this.ask<Row>({ workspaceId, name, text, values, planOnce }));
  }

  /** Whether `within` has its second line here. Where not, it logs why, once; a start makes it good. */
  holdCallers(): Promise<boolean> {
    return (this.holds ??= this.tryCallers().catch((error: unknown) => {
      this.holds = null;
      throw error;
    }));
  }

  /**
   * Lends a connection with an open transaction; commits when `work` returns and rolls back when it throws. For the few places
   * that must hold a lock while something else happens.
   */
  async transaction<Result>(
    work: (query: <Row extends object>(text: string, values: unknown[]) => Promise<Row[]>) => Promise<Result>,
  ): Promise<Result> {
    return this.guard(async () => {
      const client = await this.pool.connect();
      try {
        await client.query('BEGIN');
        const result = await work(async <Row extends object>(text: string, values: unknown[]) => {
          return (await client.query<Row>(text, values)).rows;
        });
        await client.query('COMMIT');
        client.release();
        return result;
      } catch (error) {
        // Closing the connection rolls back, also when it cannot be told to.
        client.release(true);
        throw error;
      }
    });
  }

  /** Runs a read through Prisma Client, with the same promise on failure as `run`. */
  async read<Result>(query: (prisma: PrismaClient) => Promise<Result>): Promise<Result> {
    return this.guard(() => query(this.prisma));
  }

  /** Resolves when the database answers; throws DatabaseUnavailable otherwise. */
  async ping(): Promise<void> {
    await this.guard(() => this.pool.query('SELECT 1'));
  }

  /** Waits for the statements that are under way and closes every connection. */
  async close(): Promise<void> {
    this.closing = true;
    await this.prisma.$disconnect();
    if (!this.pool.ended) await this.pool.end();
  }

  private async tryCallers(): Promise<boolean> {
    const trial = {
      workspaceId: '',
      name: 'trial',
      text: 'SELECT FROM tasks LIMIT 0',
      values: [],
      planOnce: false,
    };
    try {
      await this.guard(() => this.ask(trial));
      return true;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError && NOT_HELD_STATES.test(error.code ?? ''))) throw error;
      const reason = error.message;
      this.options.log.warn(
        { reason },
        'row-level security is off; docs/OPERATIONS.md says how to turn it on',
      );
      return false;
    }
  }

  private async ask<Row extends object>(statement: CallersStatement): Promise<Row[]> {
    const client = await this.pool.connect();
    try {
      if (!this.canEnter.has(client)) {
        await client.query({ ...ENTER, values: enterValues(statement) });
        this.canEnter.add(client);
      }
      const rows = await new Promise<Row[]>((resolve, reject) => {
        const done = (error: Error | null, result: { rows: Row[] }) =>
          error ? reject(error) : resolve(result.rows);
        client.query(callerQuery(statement, done));
      });
      client.release();
      return rows;
    } catch (error) {
      // A statement that was refused leaves the connection as it was.
      client.release(!(error instanceof pg.DatabaseError && error.severity === 'ERROR'));
      throw error;
    }
  }

  private async guard<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      throw isUnavailable(error) ? new DatabaseUnavailable(error) : error;
    }
  }
}

function isUnavailable(error: unknown): boolean {
  // By its fields: Node's own errors are not always instances of the Error that this module sees.
  const { code, message, meta } = Object(error) as { code?: unknown; message?: unknown; meta?: unknown };
  if (typeof code === 'string' && (UNAVAILABLE_CODES.has(code) || UNAVAILABLE_STATES.test(code))) return true;
  if (typeof code === 'string' && ['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2037'].includes(code))
    return true;
  const text = `${String(message)} ${JSON.stringify(meta ?? '')}`;
  return /Connection terminated|timeout exceeded when trying to connect|ECONNREFUSED|ECONNRESET|the database system is/.test(
    text,
  );
}
