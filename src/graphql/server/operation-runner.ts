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
import { oneLineJson } from '../../core/primitives/encoding/one-line-json.js';
import { BadRequest } from '../../core/errors.js';
import { type TaskEvent } from '../../core/events/task-event.js';
import { type EventSink } from '../../core/events/event-sink.js';
import { type RateLimits } from '../../services/limits/rate-limits.js';
import {
  type EventSubscription,
  type EventSubscriptions,
} from '../../services/events/event-subscriptions.js';
import { type Context, type ContextFactory } from './context.js';
import { createErrorFormatter, type FormatError } from './format-error.js';
import { type Introspection, serializeResult } from './introspection.js';
import { type OperationCache, type OperationRequest, type PreparedOperation } from './operation-cache.js';
import { RenderingFaults, throwIfDatabaseUnavailable } from '../events/rendering-faults.js';

/** Outcome of starting an operation. */
export type StartResult =
  /** The operation is invalid, or it is a mutation that must be sent by POST. Nothing was executed. */
  | { errors: GraphQLFormattedError[]; isPostRequired?: true }
  /** The only result, as JSON: of a query, a mutation, or a rejected subscription. */
  | { result: string }
  /** A subscription runs. The sink gets each result as JSON until it completes or `unsubscribe` is called. */
  | { unsubscribe: () => void };

/** The caller of an operation and the conditions under which it starts. */
export interface StartOptions extends Partial<
  Pick<Context, 'idempotencyKey' | 'traceId' | 'makeLeftSignal'>
> {
  caller: Caller;
  sink: EventSink;
  /** True for HTTP methods that must not change anything: mutations are refused. */
  isReadOnly?: boolean;
}

export interface OperationRunnerServices {
  schema: GraphQLSchema;
  operations: OperationCache;
  introspection: Introspection;
  createContext: ContextFactory;
  eventSubscriptions: EventSubscriptions;
  rateLimits: RateLimits;
  log: Logger;
}

/** Apollo Server uses the same code at /graphql. */
const MUTATION_WITHOUT_POST: StartResult = {
  errors: [
    {
      message: 'This operation is a mutation. Send mutations by POST.',
      extensions: { code: BadRequest.code },
    },
  ],
  isPostRequired: true,
};

/** Reaches no client. */
const CONNECTION_HAS_ENDED: StartResult = {
  errors: [
    { message: 'The connection has ended. Nothing was executed.', extensions: { code: BadRequest.code } },
  ],
};

/**
 * Runs GraphQL operations for long-lived connections. Subscriptions of callers with the same permissions share one
 * rendering if their documents and variables are equal, except for the cursor: each event is then executed and
 * serialized once for all of them.
 */
export class OperationRunner {
  private readonly formatOne: FormatError;

  constructor(private readonly services: OperationRunnerServices) {
    this.formatOne = createErrorFormatter(services.log);
  }

  /**
   * Throws what rejects the operation as a whole: RateLimited, QueryTooComplex, and DatabaseUnavailable, also when only the
   * start of a subscription meets it.
   */
  async start(
    request: OperationRequest,
    { caller, sink, isReadOnly = false, idempotencyKey, traceId, makeLeftSignal }: StartOptions,
  ): Promise<StartResult> {
    const { schema, operations, introspection, createContext, eventSubscriptions, rateLimits } =
      this.services;
    const rateLimit = await rateLimits.countRequests(caller, 1);
    const requestBytes = operations.measure([request]);
    const operation = await operations.prepare(request, caller, requestBytes);
    if ('errors' in operation) return { errors: this.formatErrors(operation.errors) };
    if (isReadOnly && operation.type === OperationTypeNode.MUTATION) return MUTATION_WITHOUT_POST;
    // The client has left while the document waited to be parsed, or its key was revoked.
    if (makeLeftSignal?.()?.aborted) return CONNECTION_HAS_ENDED;
    const variables = declaredVariables(request, operation);
    const introspected = await introspection.resultOf(
      { ...request, variables, ...operation, requestBytes },
      caller,
    );
    if (introspected) return { result: serializeResult(introspected) };
    const args: ExecutionArgs = {
      schema,
      document: operation.document,
      operationName: request.operationName || null,
      variableValues: variables,
      contextValue: createContext(caller, {
        rateLimit,
        requestBytes,
        idempotencyKey,
        traceId,
        makeLeftSignal,
      }),
    };
    if (operation.type !== OperationTypeNode.SUBSCRIPTION) return this.resultOf(await execute(args));
    const source = await createSourceEventStream(args);
    if (source instanceof SubscriptionSource) {
      const faults = new RenderingFaults();
      const rendering = {
        cacheKey: renderingKeyOf({ ...request, variables }, operation),
        render: (event: TaskEvent) => this.render(args, event, faults),
        cost: operation.cost,
      };
      return { unsubscribe: eventSubscriptions.start(source.subscription, rendering, sink) };
    }
    throwIfDatabaseUnavailable(source as ExecutionResult);
    return this.resultOf(source as ExecutionResult);
  }

  /** Throws when the event must be rendered again later, so that no error takes its place. */
  private async render(args: ExecutionArgs, event: TaskEvent, faults: RenderingFaults): Promise<string> {
    const result = await execute({ ...args, rootValue: event });
    faults.check(event.position, result);
    return oneLineJson(this.formatResult(result));
  }

  /** An error without a path is about the variables. The operation was then not executed. */
  private resultOf(result: ExecutionResult): StartResult {
    const { errors = [] } = result;
    return errors.some(({ path }) => !path)
      ? { errors: this.formatErrors(errors) }
      : { result: serializeResult(this.formatResult(result)) };
  }

  private formatResult({ errors, ...result }: ExecutionResult): FormattedExecutionResult {
    return errors ? { ...result, errors: this.formatErrors(errors) } : result;
  }

  private formatErrors(errors: readonly GraphQLError[]): GraphQLFormattedError[] {
    return errors.map((error) => this.formatOne(error.toJSON(), error));
  }
}

/** The result of a subscription's resolver. It says which events to push, and EventSubscriptions pushes them. */
class SubscriptionSource implements AsyncIterable<never> {
  constructor(readonly subscription: EventSubscription) {}

  [Symbol.asyncIterator](): never {
    throw new Error('EventSubscriptions pushes the events of a subscription. They cannot be iterated.');
  }
}

/** For the `subscribe` function of a subscription field. */
export async function toSubscriptionSource(
  subscription: Promise<EventSubscription>,
): Promise<AsyncIterable<never>> {
  return new SubscriptionSource(await subscription);
}

/** The variables that the operation uses. A subscription keeps them, and a client can send many more. */
function declaredVariables(
  { variables }: OperationRequest,
  { operation: { variableDefinitions = [] } }: PreparedOperation,
): Record<string, unknown> {
  const names = variableDefinitions.map(({ variable }) => variable.name.value);
  const declared = names.filter((name) => variables && Object.hasOwn(variables, name));
  return Object.fromEntries(declared.map((name) => [name, variables?.[name]]));
}

/** Requests with the same key render an event to the same JSON. */
function renderingKeyOf(
  { query, operationName, variables }: OperationRequest,
  { afterVariable }: PreparedOperation,
): string {
  const variablesWithoutAfter = Object.entries(variables ?? {}).filter(([name]) => name !== afterVariable);
  const sorted = variablesWithoutAfter.sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([query, operationName ?? null, sorted]);
}
