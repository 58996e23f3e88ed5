import pg from 'pg';
import { type bind, statement } from './statement.js';

/** A role that owns nothing, cannot log in, and reads the rows of one workspace only. row-level-security.ts creates it. */
export const CALLER_ROLE = 'darkroom_caller';

/** Assumes the caller's role in a workspace until the transaction ends. Returns no row. */
export const ENTER_WORKSPACE = statement<{ workspaceId: string; planCacheMode: string }>(
  'enter-workspace',
  `
  SELECT WHERE set_config('role', '${CALLER_ROLE}', true) IS NULL
            OR set_config('darkroom.workspace_id', :workspaceId, true) IS NULL
            OR set_config('plan_cache_mode', :planCacheMode, true) IS NULL`,
);

/** A statement and its values, as `bind` returns them. */
type BoundStatement = ReturnType<typeof bind>;

/**
 * The parts of a query and its connection that pg's types leave out. Only this file uses internals of pg, and
 * test/contract/pg-internals.test.ts checks them for the installed version.
 */
interface PgConnection {
  stream: { cork(): void; uncork(): void; destroy(error: Error): void };
  bind(config: { statement: string; values: unknown[] }): void;
  execute(config: object): void;
}
interface QueryHandlers {
  submit: (connection: PgConnection) => Error | null;
  handleCommandComplete: (message: unknown, connection: PgConnection) => void;
}

/**
 * A caller's statement, for a connection that has prepared ENTER_WORKSPACE. One batch of messages runs ENTER_WORKSPACE and
 * then the statement. Without BEGIN, all messages up to a Sync are one transaction, so it costs no round trip, and the role
 * ends with the statement, even if that fails. The statement gets a separate name, because a prepared statement is planned
 * for one role and planned again whenever the role changes.
 */
export function createCallerQuery<Row extends object>(
  enterWorkspace: BoundStatement,
  callerStatement: BoundStatement,
  done: (error: Error | null, result: { rows: Row[] }) => void,
): pg.Submittable {
  const { name, text, values, query_timeout } = callerStatement;
  const query = new pg.Query({ name: `caller-${name}`, text, values }, done as () => void);
  const { submit, handleCommandComplete } = query as unknown as QueryHandlers;
  let workspaceEntered = false;
  const handlers: QueryHandlers = {
    submit(connection) {
      const { stream } = connection;
      stream.cork();
      try {
        connection.bind({ statement: enterWorkspace.name, values: enterWorkspace.values });
        connection.execute({});
        const error = submit.call(query, connection);
        // No Sync was sent then, so the connection cannot be used any more.
        if (error) stream.destroy(error);
        return null;
      } finally {
        stream.uncork();
      }
    },
    handleCommandComplete(message, connection) {
      if (workspaceEntered) handleCommandComplete.call(query, message, connection);
      workspaceEntered = true;
    },
  };
  return Object.assign(query, handlers, { query_timeout }) as pg.Submittable;
}
