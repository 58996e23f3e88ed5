import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { type Logger } from 'pino';
import { recordDatabaseTime } from '../../core/primitives/clock.js';
import { DatabaseUnavailable, WriteUnconfirmed } from '../../core/errors.js';
import { cachedFor } from '../../core/primitives/async.js';
import { CALLER_ROLE, ENTER_WORKSPACE } from './row-level-security.js';
import { createStatementBatch } from './statement-batch.js';
import { bind, type BoundStatement, type Statement, statement } from './statement.js';
import { ENTER_GROUP, type GroupedStatement, StatementGroups } from './statement-groups.js';
import { CONNECT_TIMEOUT_MS, createPool } from './pool.js';
import { type Reader, SlowReadSlots } from '../../core/limits/slow-read-slots.js';
import { isTimeout, isUnavailable, mustReplaceConnection } from './database-errors.js';
import { type Prisma, PrismaClient } from '../generated/client.js';

export interface DatabaseOptions {
  url: string;
  /** Connections of this instance. The workers of the queue and the requests share them. */
  maxConnections: number;
  log: Logger;
}

/** The pool gives up waiting for a connection before Prisma does, as it does for every other statement. */
const PRISMA_TRANSACTION_OPTIONS = { maxWait: 2 * CONNECT_TIMEOUT_MS, timeout: 30_000 };
const READ_CLOCK = statement<object, { time: Date }>('read-clock', 'SELECT clock_timestamp() AS time');
const PROBE_ROW_SECURITY = statement('probe-row-security', 'SELECT FROM tasks LIMIT 0');
/** The role does not exist, we may not assume it, it may not read, or it does not find the tables. */
const ROW_SECURITY_MISSING_STATES = /^(22023|42501|42P01)$/;
/** The database pool: Prisma Client, and `query` for the statements that Prisma cannot make or that are hot. */
export class Database {
  readonly pool: pg.Pool;
  /** Runs queries in any workspace. Throws DatabaseUnavailable when PostgreSQL cannot be reached. */
  readonly prisma: PrismaClient;
  /** The preludes that each connection has prepared, by their names. */
  private readonly preparedPreludes = new WeakMap<pg.PoolClient, Set<string>>();
  private readonly slowReads: SlowReadSlots;
  private readonly groups = new StatementGroups();

  constructor(readonly options: DatabaseOptions) {
    this.pool = createPool(options);
    this.slowReads = new SlowReadSlots(options.maxConnections);
    const prisma = new PrismaClient({
      adapter: new PrismaPg(this.pool),
      transactionOptions: PRISMA_TRANSACTION_OPTIONS,
    });
    // Extended queries keep their types, so the client does too.
    this.prisma = prisma.$extends({
      query: { $allOperations: ({ args, query }) => translateUnavailable(() => query(args)) },
    }) as PrismaClient;
  }

  /**
   * Runs one statement, in any workspace. Throws DatabaseUnavailable when PostgreSQL cannot be reached, and other errors
   * unchanged.
   */
  async query<Parameters extends object, Row extends object>(
    statement: Statement<Parameters, Row>,
    parameters: Parameters,
  ): Promise<Row[]> {
    return translateUnavailable(() => execute(this.pool, statement, parameters));
  }

  /**
   * Like `query`, for a hot write that is one statement. It shares a transaction with others of the same statement and group, such
   * as a workspace, that are requested at the same time, in the order of `order`: see StatementGroups.
   */
  async queryInGroup<Parameters extends object, Row extends object>(
    statement: Statement<Parameters, Row>,
    parameters: Parameters,
    { group, order }: { group: string; order: string },
  ): Promise<Row[]> {
    const { values, ...sql } = bind(statement, parameters);
    const key = `${statement.name} ${group}`;
    return translateUnavailable(() => this.groups.run(key, this.groupedWrite<Row>(sql), { values, order }));
  }

  /** Its functions are kept for their key. They must not be made where the values of one write are. */
  private groupedWrite<Row extends object>(sql: Omit<BoundStatement, 'values'>): GroupedStatement<Row> {
    return {
      runTogether: (valueLists) => this.runBatch<Row>(bind(ENTER_GROUP, {}), sql, valueLists),
      runAlone: async (values) => (await this.pool.query<Row>({ ...sql, values })).rows,
      mayRunAgain: isRolledBack,
    };
  }

  /**
   * Runs a caller's statement. Row-level security restricts it to rows of the reader's workspace, in addition to its own
   * conditions. `query` is for background work and for the writes of callers. Unless `statement.needsSlot` is false, the statement
   * runs like those of `runSlowRead`.
   */
  async queryAsCaller<Parameters extends object, Row extends object>(
    reader: Reader,
    statement: Statement<Parameters, Row>,
    parameters: Parameters,
  ): Promise<Row[]> {
    const read = async () => {
      if (!(await this.hasRowSecurity())) return this.query(statement, parameters);
      return translateUnavailable(() => this.executeAsCaller(reader.workspaceId, statement, parameters));
    };
    return statement.needsSlot ? this.runSlowRead(reader, read) : read();
  }

  /**
   * Runs a read of a caller that may take as long as a statement may, such as a search. Few run at the same time, of a
   * workspace half as many, so that everything else gets a connection. Throws RateLimited when too many others run. `read` must
   * not take a slot itself, as `queryAsCaller` and `withPrismaAsCaller` do: reads that hold one and wait for another would fail.
   */
  async runSlowRead<Result>(reader: Reader, read: () => Promise<Result>): Promise<Result> {
    return this.slowReads.run(reader, read);
  }

  /**
   * Whether row-level security is on for `queryAsCaller`. If not, logs the reason once. A later start turns it on once the
   * role can be used.
   */
  readonly hasRowSecurity = cachedFor(Infinity, () => this.probeRowSecurity());

  /**
   * Calls `work` with a function that runs statements in one transaction. Commits when `work` resolves, and rolls back when it
   * rejects. Only tests use it, because each hot write of Darkroom is one statement.
   */
  async transaction<Result>(work: (query: Database['query']) => Promise<Result>): Promise<Result> {
    return translateUnavailable(async () => {
      const client = await this.pool.connect();
      try {
        await client.query('BEGIN');
        const result = await work((statement, parameters) => execute(client, statement, parameters));
        await client.query('COMMIT');
        client.release();
        return result;
      } catch (error) {
        // Closing the connection rolls back, even if the connection is broken.
        client.release(true);
        throw error;
      }
    });
  }

  /**
   * Runs writes through Prisma Client in one transaction. Rolls back when `work` rejects. Throws WriteUnconfirmed when only the
   * commit fails because PostgreSQL cannot be reached: it may have been carried out.
   */
  async transactionWithPrisma<Result>(
    work: (prisma: Prisma.TransactionClient) => Promise<Result>,
  ): Promise<Result> {
    let isCommitting = false;
    try {
      return await this.prisma.$transaction(async (prisma) => {
        const result = await work(prisma);
        isCommitting = true;
        return result;
      });
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      throw isCommitting ? new WriteUnconfirmed(error) : new DatabaseUnavailable(error);
    }
  }

  /**
   * Runs a caller's reads through Prisma Client, in one transaction. Row-level security restricts them to rows of the reader's
   * workspace, in addition to their own conditions. The transaction takes three more round trips than `queryAsCaller`, so it is
   * for reads that are not hot. `needsSlot` is that of a statement.
   */
  async withPrismaAsCaller<Result>(
    reader: Reader,
    reads: (prisma: Prisma.TransactionClient) => Promise<Result>,
    { needsSlot = true }: { needsSlot?: boolean } = {},
  ): Promise<Result> {
    const run = async () => {
      if (!(await this.hasRowSecurity())) return reads(this.prisma);
      const inWorkspace = async (prisma: Prisma.TransactionClient) => {
        await prisma.$executeRaw`
          SELECT set_config('role', ${CALLER_ROLE}, true), set_config('darkroom.workspace_id', ${reader.workspaceId}, true),
                 set_config('plan_cache_mode', 'auto', true)`;
        return reads(prisma);
      };
      return translateUnavailable(() => this.prisma.$transaction(inWorkspace));
    };
    return needsSlot ? this.runSlowRead(reader, run) : run();
  }

  /** Reads PostgreSQL's clock, which `databaseNow` follows. Call it before the first ID is made. */
  async readClock(): Promise<void> {
    const askedAt = performance.now();
    const [row] = await this.query(READ_CLOCK, {});
    if (row) recordDatabaseTime(row.time, askedAt);
  }

  /** Resolves when the database responds. Throws DatabaseUnavailable otherwise. */
  async ping(): Promise<void> {
    await translateUnavailable(() => this.pool.query('SELECT 1'));
  }

  /** Waits for running statements, then closes every connection. */
  async close(): Promise<void> {
    await this.prisma.$disconnect();
    if (!this.pool.ended) await this.pool.end();
  }

  private async probeRowSecurity(): Promise<boolean> {
    try {
      await translateUnavailable(() => this.executeAsCaller('', PROBE_ROW_SECURITY, {}));
      return true;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError && ROW_SECURITY_MISSING_STATES.test(error.code ?? '')))
        throw error;
      const reason = error.message;
      this.options.log.warn(
        { reason },
        'row-level security is off; docs/OPERATIONS.md describes how to turn it on',
      );
      return false;
    }
  }

  private async executeAsCaller<Parameters extends object, Row extends object>(
    workspaceId: string,
    statement: Statement<Parameters, Row>,
    parameters: Parameters,
  ): Promise<Row[]> {
    const { name, planCacheMode, needsSlot } = statement;
    const prelude = bind(ENTER_WORKSPACE, { workspaceId, planCacheMode });
    const { values, ...sql } = bind(statement, parameters);
    // The plan of a prepared statement is made for one role, and made again whenever the role changes.
    sql.name = `caller-${name}`;
    const runTogether = (valueLists: readonly unknown[][]) => this.runBatch<Row>(prelude, sql, valueLists);
    const runAlone = async (valuesOfOne: unknown[]) => (await runTogether([valuesOfOne]))[0] ?? [];
    if (needsSlot) return runAlone(values);
    const grouped = { runTogether, runAlone, mayRunAgain: (error: unknown) => !isTimeout(error) };
    return this.groups.run(`${sql.name} ${workspaceId}`, grouped, { values, order: '' });
  }

  /** Runs a statement with each list of values in one transaction, after the prelude. Returns the rows of each run. */
  private async runBatch<Row extends object>(
    prelude: BoundStatement,
    statement: Omit<BoundStatement, 'values'>,
    valueLists: readonly unknown[][],
  ): Promise<Row[][]> {
    const client = await this.pool.connect();
    try {
      await this.prepare(client, prelude);
      const rows = await new Promise<Row[][]>((resolve, reject) => {
        const done = (error: Error | null, results: Row[][]) => (error ? reject(error) : resolve(results));
        client.query(createStatementBatch<Row>({ prelude, statement, valueLists, done }));
      });
      client.release();
      return rows;
    } catch (error) {
      // After an error that PostgreSQL reported, the connection can still be used.
      client.release(!(error instanceof pg.DatabaseError) || mustReplaceConnection(error));
      throw error;
    }
  }

  private async prepare(client: pg.PoolClient, prelude: BoundStatement): Promise<void> {
    const prepared = this.preparedPreludes.get(client) ?? new Set();
    if (prepared.has(prelude.name)) return;
    await client.query(prelude);
    this.preparedPreludes.set(client, prepared.add(prelude.name));
  }
}

/**
 * Errors of a statement itself, such as of a damaged row, and of a lock that it did not get. The transaction has then written
 * nothing, for certain.
 */
const ROLLED_BACK = /^(0A|21|22|23|26|40|42|54|55|57014|P0|XX)/;

function isRolledBack(error: unknown): boolean {
  return (
    error instanceof pg.DatabaseError && error.severity !== 'FATAL' && ROLLED_BACK.test(error.code ?? '')
  );
}

async function execute<Parameters extends object, Row extends object>(
  client: pg.Pool | pg.PoolClient,
  statement: Statement<Parameters, Row>,
  parameters: Parameters,
): Promise<Row[]> {
  return (await client.query<Row>(bind(statement, parameters))).rows;
}

async function translateUnavailable<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw isUnavailable(error) ? new DatabaseUnavailable(error) : error;
  }
}
