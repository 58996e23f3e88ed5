import pg from 'pg';
import { type BoundStatement } from './statement.js';

export interface StatementBatch<Row extends object> {
  /** Runs first. It returns no row, and the connection must have prepared it. */
  prelude: BoundStatement;
  /** Runs once for each list of values, in their order. */
  statement: Omit<BoundStatement, 'values'>;
  valueLists: readonly unknown[][];
  /** Called with the rows of each run, or with the error that ended the batch. */
  done: (error: Error | null, rows: Row[][]) => void;
}

/**
 * The parts of a query and its connection that pg's types leave out. Only this file uses internals of pg, and
 * test/contract/pg-internals.test.ts checks them for the installed version.
 */
interface PgConnection {
  stream: { cork(): void; uncork(): void; destroy(error: Error): void };
  bind(config: object): void;
  execute(config: object): void;
  sync(): void;
}
interface QueryHandlers {
  submit: (connection: PgConnection) => Error | null;
  handleCommandComplete: (message: unknown, connection: PgConnection) => void;
}

/**
 * A statement that runs with many lists of values, behind a prelude, in one batch of messages. Without BEGIN, all messages up to a
 * Sync are one transaction, so the runs are committed together or not at all, and cost one round trip. Each run sees what the ones
 * before it have written. Settings that the prelude makes for its transaction end with the batch, even if a run fails.
 */
export function createStatementBatch<Row extends object>({
  prelude,
  statement: { name, text, query_timeout },
  valueLists: [values = [], ...otherLists],
  done,
}: StatementBatch<Row>): pg.Submittable {
  /** How many rows had arrived at the end of the prelude, and of each run. */
  const ends: number[] = [];
  let rowCount = 0;
  const callback = (error: Error | null, result?: { rows: Row[] }) =>
    done(error, result ? ends.slice(1).map((end, run) => result.rows.slice(ends[run], end)) : []);
  // For pg this is one query, because only the rows of the first run are described.
  const query = new pg.Query({ name, text, values }, callback as () => void);
  query.on('row', () => (rowCount += 1));
  const { submit, handleCommandComplete } = query as unknown as QueryHandlers;
  const handlers: QueryHandlers = {
    submit(connection) {
      const { stream } = connection;
      stream.cork();
      try {
        connection.bind({ statement: prelude.name, values: prelude.values });
        connection.execute({});
        let binding: object | undefined;
        const bindFirst = (config: object) => {
          connection.bind(config);
          binding = config;
        };
        const error = submit.call(query, withoutSync(connection, bindFirst));
        if (!binding) throw error ?? new Error(`The values of ${name} cannot be sent.`);
        for (const others of otherLists) {
          connection.bind({ ...binding, values: others });
          connection.execute({});
        }
        connection.sync();
      } catch (error) {
        // Without the Sync nothing is committed, and the connection cannot be used any more.
        stream.destroy(error as Error);
      } finally {
        stream.uncork();
      }
      return null;
    },
    handleCommandComplete(message, connection) {
      ends.push(rowCount);
      const isLast = ends.length === otherLists.length + 2;
      if (isLast) handleCommandComplete.call(query, message, connection);
    },
  };
  return Object.assign(query, handlers, { query_timeout }) as pg.Submittable;
}

/** A connection for a query of pg, which ends with a Sync: that would commit what was sent so far. */
function withoutSync(connection: PgConnection, bind: PgConnection['bind']): PgConnection {
  return Object.create(connection, {
    bind: { value: bind },
    sync: { value: () => undefined },
  }) as PgConnection;
}
