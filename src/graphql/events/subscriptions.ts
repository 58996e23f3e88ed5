import {
  createSourceEventStream,
  execute,
  type ExecutionArgs,
  type ExecutionResult,
  type FormattedExecutionResult,
  type GraphQLError,
  type GraphQLFormattedError,
  type GraphQLSchema,
  OperationTypeNode,
} from 'graphql';
import { type Logger } from 'pino';
import { type Caller } from '../../core/access/caller.js';
import { DatabaseUnavailable, RateLimited } from '../../core/errors.js';
import { type TaskEvent } from '../../core/events/task-event.js';
import { type Outlet } from '../../core/events/event-sink.js';
import { type RateLimits, type RateStanding } from '../../services/limits/rate-limits.js';
import { type Watch, type Watching } from '../../services/events/event-subscriptions.js';
import { type ContextMaker } from '../server/context.js';
import { formatError } from '../server/format-error.js';
import {
  asGraphqlError,
  type Operation,
  type OperationRequest,
  type Operations,
} from '../server/operations.js';

/** What became of a request. */
export type Started =
  /** The document is wrong: nothing was run. */
  | { errors: GraphQLFormattedError[] }
  /** The one answer that there is: of a query or a mutation, or of a subscription that was refused. */
  | { result: FormattedExecutionResult }
  /** The outlet is sent every result, each as JSON, until it completes or `leave` is called. */
  | { leave: () => void };

/**
 * Runs GraphQL operations for connections that stay open. Subscriptions of callers with the same rights, with the same
 * document and the same variables but for the place to go on from, are one: each event is executed and serialised once
 * for all of them.
 */
export class Subscriptions {
  private readonly format: (formatted: GraphQLFormattedError, error: unknown) => GraphQLFormattedError;

  constructor(
    private readonly schema: GraphQLSchema,
    private readonly operations: Operations,
    private readonly makeContext: ContextMaker,
    private readonly watching: Watching,
    private readonly rateLimits: RateLimits,
    log: Logger,
  ) {
    this.format = formatError(log);
  }

  /** Throws DatabaseUnavailable for a subscription that cannot begin because Postgres is away. */
  async start(request: OperationRequest, caller: Caller, outlet: Outlet): Promise<Started> {
    const rate = await this.admit(caller);
    if (rate instanceof RateLimited) return { errors: this.formatAll([asGraphqlError(rate)]) };
    const operation = this.operations.prepare(request);
    if ('errors' in operation) return { errors: this.formatAll(operation.errors) };
    const args: ExecutionArgs = {
      schema: this.schema,
      document: operation.document,
      operationName: request.operationName,
      variableValues: request.variables,
      contextValue: this.makeContext(caller, { rate }),
    };
    if (operation.type !== OperationTypeNode.SUBSCRIPTION)
      return { result: this.formatResult(await execute(args)) };
    const source = await createSourceEventStream(args);
    if (!(source instanceof WatchSource)) {
      throwIfAway(source as ExecutionResult);
      return { result: this.formatResult(source as ExecutionResult) };
    }
    const render = (event: TaskEvent) => this.render(args, event);
    return { leave: this.watching.open(source.watch, { key: keyOf(request, operation), render }, outlet) };
  }

  /** Pushes everything that is known by now; for the last moment before the connections are closed. */
  flush(): Promise<void> {
    return this.watching.flush();
  }

  private async admit(caller: Caller): Promise<RateStanding | RateLimited | null> {
    try {
      return await this.rateLimits.admitRequests(caller, 1);
    } catch (error) {
      if (error instanceof RateLimited) return error;
      throw error;
    }
  }

  /** Throws while Postgres is away: the event is shown when it is back, not as an error in its place. */
  private async render(args: ExecutionArgs, event: TaskEvent): Promise<string> {
    const result = await execute({ ...args, rootValue: event });
    throwIfAway(result);
    return JSON.stringify(this.formatResult(result));
  }

  private formatResult({ errors, ...result }: ExecutionResult): FormattedExecutionResult {
    return errors ? { ...result, errors: this.formatAll(errors) } : result;
  }

  private formatAll(errors: readonly GraphQLError[]): GraphQLFormattedError[] {
    return errors.map((error) => this.format(error.toJSON(), error));
  }
}

/** A client that comes back while Postgres is away has to come once more; an error in an answer would be its end. */
function throwIfAway({ errors }: ExecutionResult): void {
  const away = errors?.find(({ originalError }) => originalError instanceof DatabaseUnavailable);
  if (away?.originalError) throw away.originalError;
}

/** What a subscription's resolver gives: not the events themselves, but which ones, for `Subscriptions` to push. */
class WatchSource implements AsyncIterable<never> {
  constructor(readonly watch: Watch) {}

  [Symbol.asyncIterator](): never {
    throw new Error('Events are pushed by Subscriptions, once for all who watch the same; nobody iterates.');
  }
}

/** The `subscribe` of a subscription field: one call of a service. */
export async function watchSource(watch: Promise<Watch>): Promise<AsyncIterable<never>> {
  return new WatchSource(await watch);
}

/** Two requests with the same key show the same event alike. */
function keyOf({ query, operationName, variables }: OperationRequest, { afterVariable }: Operation): string {
  const named = Object.entries(variables ?? {}).filter(([name]) => name !== afterVariable);
  const sorted = named.sort(([one], [other]) => (one < other ? -1 : 1));
  return JSON.stringify([query, operationName ?? null, sorted]);
}
