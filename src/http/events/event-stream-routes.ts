import { type Request, type Response, Router } from 'express';
import { type Caller } from '../../core/access/caller.js';
import { BadRequest } from '../../core/errors.js';
import { oneLineJson, withoutLineBreaks } from '../../core/primitives/encoding/one-line-json.js';
import { type TaskEvent } from '../../core/events/task-event.js';
import { type EventSink, KEEP_ALIVE_MS } from '../../core/events/event-sink.js';
import { type OpenConnections } from '../../services/limits/open-connections.js';
import {
  type Rendering,
  type EventSubscription,
  type EventSubscriptions,
} from '../../services/events/event-subscriptions.js';
import { EventStreamResponse, type StreamFormat } from './event-stream-response.js';
import {
  credentialOf,
  operationInBody,
  operationInQuery,
  parseStreamParameters,
  type StreamOperation,
} from './stream-parameters.js';
import {
  authenticate,
  authenticateAgain,
  type AuthServices,
  authorize,
  callerOf,
} from '../access/authorize.js';
import { idempotencyKeyOf } from '../tasks/idempotency-key.js';
import { closeSignalOf, onClose } from '../server/on-close.js';
import { graphqlErrorBody, withErrorBody } from '../server/reply-with-error.js';
import { MAX_STREAM_OPERATION_BYTES } from '../server/request-bodies.js';

/** Fields of an event in this stream. */
const EVENT_FIELDS = 10;

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
    /** Makes a signal that is aborted when the response closes. */
    makeLeftSignal: () => AbortSignal;
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
      const { cursor, ...filter } = parseStreamParameters(request, ['types', 'taskIds']);
      await this.pushEvents(
        response,
        await services.eventSubscriptions.subscribeToWorkspace(callerOf(response), cursor, filter),
      );
    });
    router.get<{ id: string }>('/tasks/:id/events', authorizeReader, async (request, response) => {
      const subscription = await services.eventSubscriptions.subscribeToTask(
        callerOf(response),
        request.params.id,
        parseStreamParameters(request, []).cursor,
      );
      // Only the status 204 stops an EventSource from reconnecting after the end.
      if (isFinished(subscription)) response.status(204).end();
      else await this.pushEvents(response, subscription);
    });
    router
      .route('/graphql/stream')
      .all(withErrorBody(graphqlErrorBody), authenticate(services, credentialOf))
      .get((request, response) => this.runOperation(request, response, operationInQuery(request)))
      .post(
        services.bodies.json(MAX_STREAM_OPERATION_BYTES),
        authenticateAgain(services, credentialOf),
        (request, response) => this.runOperation(request, response, operationInBody(request)),
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

  private async runOperation(
    request: Request,
    response: Response,
    operation: StreamOperation,
  ): Promise<void> {
    const sink = await this.openStream(response, 'graphql');
    const result = await this.services.startOperation(operation, {
      caller: callerOf(response),
      sink,
      // Express also routes HEAD to the handler of GET.
      isReadOnly: request.method !== 'POST',
      idempotencyKey: idempotencyKeyOf(request) ?? null,
      traceId: String(response.getHeader('x-request-id')),
      makeLeftSignal: () => closeSignalOf(response),
    });
    if ('errors' in result) {
      // Its key was revoked, or the service stops: the stream has ended.
      if (response.headersSent) return;
      const { errors, isPostRequired } = result;
      response.status(isPostRequired ? 405 : 400).set('cache-control', 'no-store');
      if (isPostRequired) response.set('allow', 'POST');
      response.json({ errors });
    } else if ('result' in result) {
      sink.send(withoutLineBreaks(result.result));
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
    return `id: ${cursor}\ndata: ${oneLineJson({ id, cursor, type, at, actor, taskId, data })}\n\n`;
  }
}

/** Whether the task is settled and the client has seen all of its events. */
function isFinished({
  start: { initialEvent, settledPosition, position },
  head,
}: EventSubscription): boolean {
  return !initialEvent && settledPosition !== null && position >= head;
}
