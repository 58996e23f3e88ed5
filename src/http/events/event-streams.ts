import express, { type Request, type Response, Router } from 'express';
import { type Caller } from '../../core/access/caller.js';
import { type ClientAddressOf } from '../../core/access/client-address.js';
import { BadRequest } from '../../core/errors.js';
import { EVENT_TYPES, type EventType, type TaskEvent } from '../../core/events/task-event.js';
import { type Outlet } from '../../core/events/event-sink.js';
import { type Access, requireScope } from '../../services/access/access.js';
import { type Connections } from '../../services/limits/connection-slots.js';
import { type RateLimits } from '../../services/limits/rate-limits.js';
import { type Rendering, type Watch, type Watching } from '../../services/events/event-subscriptions.js';
import { EventStream, type StreamForm } from './event-stream.js';
import { onceClosed } from '../server/once-closed.js';

/** As over WebSocket: a document and its variables. */
const MAX_OPERATION = '64kb';
/** Below the idle time-outs of proxies, 60 s and sometimes 15 s. */
const KEEP_ALIVE_MS = 12_000;

interface Operation {
  query: string;
  operationName?: string | null;
  variables?: Record<string, unknown> | null;
}

/** Starts a GraphQL operation whose results go to the outlet, each as JSON; see graphql/subscriptions.ts. */
export type StartOperation = (
  operation: Operation,
  caller: Caller,
  outlet: Outlet,
) => Promise<{ errors: object[] } | { result: object } | { leave: () => void }>;

export interface EventStreamServices {
  access: Access;
  connections: Connections;
  watching: Watching;
  rateLimits: RateLimits;
  startOperation: StartOperation;
  addressOf: ClientAddressOf;
}

/**
 * Server-sent events. `/graphql/stream` speaks graphql-sse in its distinct connections mode; `/events` and
 * `/tasks/:id/events` are for EventSource and curl: each event's `id` is its cursor, so a browser goes on by itself.
 */
export class EventStreams {
  readonly router = Router();
  private readonly open = new Set<EventStream>();
  private readonly timer: NodeJS.Timeout;
  private readonly rendering: Rendering;

  constructor(private readonly services: EventStreamServices) {
    this.timer = setInterval(() => this.open.forEach((stream) => stream.keepAlive()), KEEP_ALIVE_MS);
    this.rendering = { key: 'event stream', render: (event) => Promise.resolve(this.render(event)) };
    const { router } = this;
    router.get('/events', async (request, response) => {
      const caller = await this.identifyReader(request);
      const filter = { types: eventTypes(request.query.types), taskIds: list(request.query.taskIds) };
      await this.push(response, caller, await services.watching.workspace(caller, placeOf(request), filter));
    });
    router.get('/tasks/:id/events', async (request, response) => {
      const caller = await this.identifyReader(request);
      const watch = await services.watching.task(caller, request.params.id, placeOf(request));
      // An EventSource that comes back after the end: no other status tells it to stay away.
      if (isOver(watch)) response.status(204).end();
      else await this.push(response, caller, watch);
    });
    router
      .route('/graphql/stream')
      .get((request, response) => this.run(request, response, request.query))
      .post(express.json({ limit: MAX_OPERATION }), (request, response) =>
        this.run(request, response, Object(request.body)),
      )
      .all((_request, response) => {
        response.setHeader('allow', 'GET, POST');
        response
          .status(405)
          .json({ errors: [{ message: 'Send each operation by itself, with GET or POST.' }] });
      });
  }

  /** Pushes what is known, then ends every stream; clients connect to another instance and go on. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.services.watching.flush();
    for (const stream of [...this.open]) stream.end('going-away', null);
  }

  /** By the header, or, for an EventSource that cannot send one, by the parameter of RFC 6750, 2.3. */
  private identify(request: Request): Promise<Caller> {
    const { headers, query } = request;
    const token = typeof query.access_token === 'string' ? `Bearer ${query.access_token}` : undefined;
    const { access, addressOf } = this.services;
    return access.authenticate(headers.authorization ?? token, addressOf(request));
  }

  /** Throws Forbidden, as the schema does for subscriptions, and RateLimited. */
  private async identifyReader(request: Request): Promise<Caller> {
    const caller = await this.identify(request);
    requireScope(caller, 'tasks:read');
    await this.services.rateLimits.admitRequests(caller, 1);
    return caller;
  }

  private async push(response: Response, caller: Caller, watch: Watch): Promise<void> {
    const stream = await this.accept(response, caller, 'plain');
    const leave = this.services.watching.open(watch, this.rendering, stream);
    onceClosed(response, leave);
    stream.begin();
  }

  private async run(request: Request, response: Response, given: unknown): Promise<void> {
    const caller = await this.identify(request);
    const operation = operationOf(given);
    const stream = await this.accept(response, caller, 'graphql');
    const started = await this.services.startOperation(operation, caller, stream);
    if ('errors' in started) {
      refuse(response, started.errors);
    } else if ('result' in started) {
      stream.send(JSON.stringify(started.result));
      stream.complete();
    } else {
      onceClosed(response, started.leave);
      stream.begin();
    }
  }

  private async accept(response: Response, caller: Caller, form: StreamForm): Promise<EventStream> {
    const stream = new EventStream(response, form);
    const { leave, letIn } = this.services.connections.open(caller, () => stream.end('key-revoked', null));
    this.open.add(stream);
    onceClosed(response, () => {
      leave();
      this.open.delete(stream);
    });
    await letIn;
    return stream;
  }

  private render(event: TaskEvent): string {
    const { id, type, at, actor, taskId, data } = event;
    const cursor = this.services.watching.cursorOf(event);
    return `id: ${cursor}\ndata: ${JSON.stringify({ id, cursor, type, at, actor, taskId, data })}\n\n`;
  }
}

/** A browser that comes back sends the id of the last event; otherwise the address says where to begin. */
function placeOf({ headers, query }: Request): string | null {
  const last = headers['last-event-id'];
  if (typeof last === 'string' && last !== '') return last;
  return typeof query.after === 'string' && query.after !== '' ? query.after : null;
}

function isOver({ start: { first, overAt, position }, head }: Watch): boolean {
  return !first && overAt !== null && position >= head;
}

/** As over HTTP: refused by a limit, or not to be understood. */
function refuse(response: Response, errors: object[]): void {
  const { extensions } = Object(errors[0]) as { extensions?: { retryAfterMs?: number } };
  const waitMs = extensions?.retryAfterMs;
  if (waitMs !== undefined) response.setHeader('retry-after', Math.max(1, Math.ceil(waitMs / 1_000)));
  response.status(waitMs === undefined ? 400 : 429).json({ errors });
}

function list(value: unknown): string[] {
  const texts = Array.isArray(value) ? value : [value];
  return texts
    .flatMap((text) => (typeof text === 'string' ? text.split(',') : []))
    .filter((text) => text !== '');
}

function eventTypes(value: unknown): EventType[] {
  return list(value).map((text) => {
    const type = EVENT_TYPES.find((known) => known === text);
    if (!type)
      throw new BadRequest(
        `There are no events of the type "${text.slice(0, 50)}". There are: ${EVENT_TYPES.join(', ')}.`,
      );
    return type;
  });
}

/** In a query string the variables are JSON. Throws BadRequest. */
function operationOf(given: unknown): Operation {
  const { query, operationName, variables } = Object(given) as Record<string, unknown>;
  if (typeof query !== 'string' || query === '') throw new BadRequest('Send the document as `query`.');
  return {
    query,
    operationName: typeof operationName === 'string' ? operationName : null,
    variables: variablesOf(variables),
  };
}

function variablesOf(value: unknown): Record<string, unknown> | null {
  if (value === undefined || value === null || value === '') return null;
  try {
    const parsed: unknown = typeof value === 'string' ? JSON.parse(value) : value;
    if (typeof parsed === 'object' && !Array.isArray(parsed)) return parsed as Record<string, unknown> | null;
  } catch {
    // as below
  }
  throw new BadRequest('`variables` is not a JSON object.');
}
