import pg from 'pg';

/** Owns nothing, cannot log in, and reads the rows of one workspace alone: row-security.ts makes it. */
export const CALLER_ROLE = 'darkroom_caller';

/** Becomes the caller's role in a workspace, until the transaction ends. Answers no row. */
export const ENTER = {
  name: 'enter-workspace',
  text: `
  SELECT WHERE set_config('role', '${CALLER_ROLE}', true) IS NULL
            OR set_config('darkroom.workspace', $1, true) IS NULL OR set_config('plan_cache_mode', $2, true) IS NULL`,
};

/** What a caller asks, and for which workspace. */
export interface CallersStatement {
  workspaceId: string;
  name: string;
  text: string;
  values: unknown[];
  /** One plan serves all values. */
  planOnce: boolean;
}

/** The values of ENTER. */
export function enterValues({ workspaceId, planOnce }: Pick<CallersStatement, 'workspaceId' | 'planOnce'>) {
  return [workspaceId, planOnce ? 'force_generic_plan' : 'auto'];
}

/** What pg's types leave out of a query and its connection. */
interface Wire {
  stream: { cork(): void; uncork(): void; destroy(error: Error): void };
  bind(config: { statement: string; values: unknown[] }): void;
  execute(config: object): void;
}
interface Steps {
  submit: (connection: Wire) => Error | null;
  handleCommandComplete: (message: unknown, connection: Wire) => void;
}

/**
 * A caller's statement, for a connection that has prepared ENTER. One batch of messages runs ENTER and then the statement. Without
 * BEGIN, all messages up to a Sync are one transaction: so it costs no round trip, and the role ends with the statement,
 * however that ends. The statement has a name of its own here: a prepared one is planned for one role, and would be planned
 * anew whenever it changes.
 */
export function callerQuery<Row extends object>(
  statement: CallersStatement,
  done: (error: Error | null, result: { rows: Row[] }) => void,
): pg.Submittable {
  const { name, text, values } = statement;
  const query = new pg.Query({ name: `caller-${name}`, text, values }, done as () => void);
  const { submit, handleCommandComplete } = query as unknown as Steps;
  let hasEntered = false;
  const steps: Steps = {
    submit(connection) {
      const { stream } = connection;
      stream.cork();
      try {
        connection.bind({ statement: ENTER.name, values: enterValues(statement) });
        connection.execute({});
        const refused = submit.call(query, connection);
        // Then no Sync was sent, and nothing can be asked here any more.
        if (refused) stream.destroy(refused);
        return null;
      } finally {
        stream.uncork();
      }
    },
    handleCommandComplete(message, connection) {
      if (hasEntered) handleCommandComplete.call(query, message, connection);
      hasEntered = true;
    },
  };
  return Object.assign(query, steps) as pg.Submittable;
}
