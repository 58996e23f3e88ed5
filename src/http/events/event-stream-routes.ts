import { type Request, type RequestHandler, type Response, Router } from 'express';
import { type Caller } from '../../core/access/caller.js';
import { BadRequest } from '../../core/errors.js';
import { EVENT_TYPES, type EventType, type TaskEvent } from '../../core/events/task-event.js';
import { type EventSink } from '../../core/events/event-sink.js';
import { type OpenConnections } from '../../services/limits/open-connections.js';
import {
  type Rendering,
  type EventSubscription,
  type EventSubscriptions,
} from '../../services/events/event-subscriptions.js';
import { EventStreamResponse, type StreamFormat } from './event-stream-response.js';
import { type AuthServices, authorize, callerOf } from '../access/authorize.js';
import { onClose } from '../server/on-close.js';
import { graphqlErrorBody, withErrorBody } from '../server/reply-with-error.js';
import { MAX_STREAM_OPERATION_BYTES, takeBody } from '../server/request-bodies.js';

/** Shorter than the idle timeouts of proxies, which are 60 s and sometimes 15 s. */
const KEEP_ALIVE_MS = 12_000;
/** Of an event as this stream sends it. */
const EVENT_FIELDS = 10;

interface StreamOperation {
  query: string;
  operationName?: string | null;
  variables?: Record<string, unknown> | null;
}

/**
 * Starts a GraphQL operation that returns its only result, or sends its results to the sink, each as JSON.
 * graphql/server/operation-runner.ts implements it.
 */
export type StartOperation = (
  operation: StreamOperation,
  options: {
    caller: Caller;
    sink: EventSink;
    isReadOnly: boolean;
    idempotencyKey: string | null;
    traceId: string;
  },
) => Promise<{ errors: object[]; isPostRequired?: true } | { result: string } | { unsubscribe: () => void }>;

export interface EventStreamServices extends AuthServices {
  connections: OpenConnections;
  eventSubscriptions: EventSubscriptions;
  startOperation: StartOperation;
}

/**
 * Serves server-sent events. `/graphql/stream` speaks graphql-sse in its distinct connections mode. `/events` and
 * `/tasks/:id/events` are for EventSource and curl. The `id` of an event is its cursor, so browsers resume by themselves.
 */
export class EventStreamRoutes {
  readonly router = Router();
  private readonly openStreams = new Set<EventStreamResponse>();
  private readonly keepAliveTimer: NodeJS.Timeout;
  private readonly rendering: Rendering;

  constructor(private readonly services: EventStreamServices) {
    this.keepAliveTimer = setInterval(
      () => this.openStreams.forEach((stream) => stream.keepAlive()),
      KEEP_ALIVE_MS,
    );
    this.rendering = {
      cacheKey: 'event stream',
      render: (event) => Promise.resolve(this.render(event)),
      cost: EVENT_FIELDS,
    };
    const { router } = this;
    const authorizeReader = authorize(services, 'tasks:read', credentialOf);
    router.get('/events', authorizeReader, async (request, response) => {
      const caller = callerOf(response);
      const filter = {
        types: parseEventTypes(request.query.types),
        taskIds: parseList(request.query.taskIds),
      };
      await this.pushEvents(
        response,
        await services.eventSubscriptions.subscribeToWorkspace(caller, resumeCursorOf(request), filter),
      );
    });
    router.get<{ id: string }>('/tasks/:id/events', authorizeReader, async (request, response) => {
      const subscription = await services.eventSubscriptions.subscribeToTask(
        callerOf(response),
        request.params.id,
        resumeCursorOf(request),
      );
      // Only the status 204 stops an EventSource from reconnecting after the end.
      if (isFinished(subscription)) response.status(204).end();
      else await this.pushEvents(response, subscription);
    });
    const authenticate: RequestHandler = async (request, response, next) => {
      const { access, clientAddressOf } = services;
      response.locals.caller = await access.authenticate(credentialOf(request), clientAddressOf(request));
      next();
    };
    router
      .route('/graphql/stream')
      .all(withErrorBody(graphqlErrorBody), authenticate)
      .get((request, response) => this.runOperation(request, response, request.query))
      .post(services.bodies.json(MAX_STREAM_OPERATION_BYTES), (request, response) =>
        this.runOperation(request, response, takeBody(request)),
      )
      .all((_request, response) => {
        const message = 'The method is not allowed. Send each operation with GET or POST.';
        // Apollo Server uses the same status and code at /graphql.
        response.status(405).set({ allow: 'GET, POST', 'cache-control': 'no-store' });
        response.json({ errors: [{ message, extensions: { code: BadRequest.code } }] });
      });
  }

  /** Pushes the pending events, then ends every stream. Clients reconnect to another instance and resume. */
  async stop(): Promise<void> {
    clearInterval(this.keepAliveTimer);
    await this.services.eventSubscriptions.flush();
    for (const stream of [...this.openStreams]) stream.close('going-away', null);
  }

  private async pushEvents(response: Response, subscription: EventSubscription): Promise<void> {
    const stream = await this.openStream(response, 'plain');
    const unsubscribe = this.services.eventSubscriptions.start(subscription, this.rendering, stream);
    onClose(response, unsubscribe);
    stream.start();
  }

  private async runOperation(request: Request, response: Response, input: unknown): Promise<void> {
    const operation = parseOperation(input);
    const sink = await this.openStream(response, 'graphql');
    const result = await this.services.startOperation(operation, {
      caller: callerOf(response),
      sink,
      // Express also routes HEAD to the handler of GET.
      isReadOnly: request.method !== 'POST',
      idempotencyKey: request.get('idempotency-key') ?? null,
      traceId: String(response.getHeader('x-request-id')),
    });
    if ('errors' in result) {
      const { errors, isPostRequired } = result;
      response.status(isPostRequired ? 405 : 400).set('cache-control', 'no-store');
      if (isPostRequired) response.set('allow', 'POST');
      response.json({ errors });
    } else if ('result' in result) {
      sink.send(result.result);
      sink.complete();
    } else {
      onClose(response, result.unsubscribe);
      sink.start();
    }
  }

  private async openStream(response: Response, format: StreamFormat): Promise<EventStreamResponse> {
    const stream = new EventStreamResponse(response, format);
    const { release, acquired } = this.services.connections.acquire(callerOf(response), () =>
      stream.close('api-key-revoked', null),
    );
    this.openStreams.add(stream);
    onClose(response, () => {
      release();
      this.openStreams.delete(stream);
    });
    await acquired;
    return stream;
  }

  private render(event: TaskEvent): string {
    const { id, type, at, actor, taskId, data } = event;
    const cursor = this.services.eventSubscriptions.cursorOf(event);
    return `id: ${cursor}\ndata: ${JSON.stringify({ id, cursor, type, at, actor, taskId, data })}\n\n`;
  }
}

/** Reads the header, or the parameter of RFC 6750, 2.3, because an EventSource cannot set headers. */
function credentialOf({ headers, query }: Request): string | undefined {
  const token = typeof query.access_token === 'string' ? `Bearer ${query.access_token}` : undefined;
  return headers.authorization ?? token;
}

/** A browser that reconnects sends the ID of the last event. Otherwise the query parameter `after` is the start. */
function resumeCursorOf({ headers, query }: Request): string | null {
  const lastEventId = headers['last-event-id'];
  if (typeof lastEventId === 'string' && lastEventId !== '') return lastEventId;
  return typeof query.after === 'string' && query.after !== '' ? query.after : null;
}

/** Whether the task is settled and the client has seen all of its events. */
function isFinished({
  start: { initialEvent, settledPosition, position },
  head,
}: EventSubscription): boolean {
  return !initialEvent && settledPosition !== null && position >= head;
}

function parseList(value: unknown): string[] {
  const values = Array.isArray(value) ? value : [value];
  return values
    .flatMap((text) => (typeof text === 'string' ? text.split(',') : []))
    .filter((text) => text !== '');
}

function parseEventTypes(value: unknown): EventType[] {
  return parseList(value).map((text) => {
    const type = EVENT_TYPES.find((known) => known === text);
    if (!type)
      throw new BadRequest(
        `Unknown event type "${text.slice(0, 50)}". Use any of: ${EVENT_TYPES.join(', ')}.`,
      );
    return type;
  });
}

/** Parses an operation from a body or a query string. Throws BadRequest. */
function parseOperation(input: unknown): StreamOperation {
  const { query, operationName, variables } = Object(input) as Record<string, unknown>;
  if (typeof query !== 'string' || query === '')
    throw new BadRequest('`query` is missing. Send the GraphQL document as `query`.');
  return {
    query,
    operationName: typeof operationName === 'string' ? operationName : null,
    variables: parseVariables(variables),
  };
}

/** The variables are an object in a body, and JSON text in a query string. */
function parseVariables(value: unknown): Record<string, unknown> | null {
  if (value === undefined || value === null || value === '') return null;
  try {
    const parsed: unknown = typeof value === 'string' ? JSON.parse(value) : value;
    if (typeof parsed === 'object' && !Array.isArray(parsed)) return parsed as Record<string, unknown> | null;
  } catch {
    // Reported below.
  }
  throw new BadRequest('`variables` is not a JSON object. Send an object, or leave it out.');
}
