import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { WebSocket } from 'ws';

/** The transports of a subscription: graphql-ws, graphql-sse, and plain server-sent events. */
export const STREAM_TRANSPORTS = ['websocket', 'graphql-sse', 'plain'] as const;
export type StreamTransport = (typeof STREAM_TRANSPORTS)[number];

export interface PushedEvent {
  id: string;
  cursor: string;
  type: string;
  data: Record<string, unknown>;
}

/** What to subscribe to: one task, or the workspace with a filter. */
export interface SubscriptionTarget {
  taskId?: string;
  types?: readonly string[];
  taskIds?: readonly string[];
  /** GraphQL only: also select the task of each event. */
  withTask?: boolean;
}

/** How a stream ended. Absent fields were not reported. */
export interface StreamEnd {
  /** HTTP: status of the response. */
  status?: number;
  /** HTTP: body of a response that is not a stream. */
  body?: unknown;
  /** WebSocket: close code. */
  code?: number;
  reason?: string;
  /** GraphQL: errors of a refused subscription. */
  errors?: { message: string; extensions?: { code?: string } }[];
  /** Plain: the `closing` event of a stream that the service ends early. */
  closing?: { code: string; cursor: string | null };
  /** The service completed the subscription. */
  complete?: boolean;
}

/** One connection with one stream on it. */
export interface EventSubscriptionStream {
  readonly received: PushedEvent[];
  readonly ended: Promise<StreamEnd>;
  /** Destroys the client's socket without a close frame. */
  cut(): void;
  /** Stops reading from the socket until `resume()`. */
  pause(): void;
  resume(): void;
}

export interface StreamOptions {
  url: string;
  key: string;
  transport: StreamTransport;
  target: SubscriptionTarget;
  after?: string | null;
  /** Called with every event as it arrives. */
  take?: (event: PushedEvent) => void;
}

interface ExecutionPayload {
  data?: { pushed?: PushedEvent } | null;
  errors?: StreamEnd['errors'];
}

export function openSubscriptionStream(options: StreamOptions): EventSubscriptionStream {
  const received: PushedEvent[] = [];
  const take = (event: PushedEvent) => {
    received.push(event);
    options.take?.(event);
  };
  const { transport } = options;
  return {
    received,
    ...(transport === 'websocket' ? openWebSocketStream : openHttpStream)({ ...options, take }),
  };
}

/** The GraphQL document and the variables for a target. */
export function subscriptionOperation(target: SubscriptionTarget, after: string | null = null) {
  const { taskId, types, taskIds, withTask } = target;
  const fields = `id cursor type data ${withTask ? 'task { id status }' : ''}`;
  return taskId === undefined
    ? {
        query: `subscription ($after: String, $filter: TaskEventFilter) { pushed: taskEvents(after: $after, filter: $filter) { ${fields} } }`,
        variables: { after, filter: { types, taskIds } },
      }
    : {
        query: `subscription ($after: String, $id: ID!) { pushed: taskUpdated(after: $after, id: $id) { ${fields} } }`,
        variables: { after, id: taskId },
      };
}

type OpenedStream = Omit<EventSubscriptionStream, 'received'>;
type OpenOptions = Required<Pick<StreamOptions, 'take'>> & StreamOptions;

function openWebSocketStream({ url, key, target, after, take }: OpenOptions): OpenedStream {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/graphql`, 'graphql-transport-ws');
  const streamEnd: StreamEnd = {};
  const send = (message: object) => socket.send(JSON.stringify(message));
  const handlePayload = ({ data, errors }: ExecutionPayload) => {
    if (errors) streamEnd.errors = errors;
    else if (data?.pushed) take(data.pushed);
  };
  socket.on('open', () => send({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } }));
  socket.on('message', (text: Buffer) => {
    const message = JSON.parse(text.toString()) as { type: string; payload: ExecutionPayload };
    if (message.type === 'connection_ack')
      send({ type: 'subscribe', id: '1', payload: subscriptionOperation(target, after) });
    else if (message.type === 'next') handlePayload(message.payload);
    else if (message.type === 'complete') {
      streamEnd.complete = true;
      socket.close(1000);
    }
  });
  socket.on('error', () => undefined);
  const ended = new Promise<StreamEnd>((resolve) => {
    socket.once('close', (code, reason) => resolve({ ...streamEnd, code, reason: reason.toString() }));
  });
  return {
    ended,
    cut: () => socket.terminate(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  };
}

function openHttpStream(options: OpenOptions): OpenedStream {
  const streamEnd: StreamEnd = {};
  const request = sendStreamRequest(options);
  let response: IncomingMessage | null = null;
  const ended = new Promise<StreamEnd>((resolve) => {
    request.once('response', (incoming) => {
      response = incoming;
      streamEnd.status = incoming.statusCode;
      let text = '';
      incoming.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (streamEnd.status !== 200) return;
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) handleBlock(block, options.take, streamEnd);
      });
      incoming.on('error', () => undefined);
      incoming.once('close', () => {
        const isJson = incoming.headers['content-type']?.includes('json');
        if (streamEnd.status !== 200) streamEnd.body = isJson ? (JSON.parse(text) as unknown) : text;
        resolve(streamEnd);
      });
    });
    request.once('error', () => resolve(streamEnd));
  });
  return {
    ended,
    cut: () => request.destroy(),
    pause: () => response?.pause(),
    resume: () => response?.resume(),
  };
}

function sendStreamRequest({ url, key, transport, target, after }: OpenOptions): ClientRequest {
  const headers: Record<string, string> = { authorization: `Bearer ${key}` };
  if (transport === 'graphql-sse') {
    headers['content-type'] = 'application/json';
    const request = httpRequest(`${url}/graphql/stream`, { method: 'POST', headers, agent: false });
    return request.end(JSON.stringify(subscriptionOperation(target, after)));
  }
  if (after) headers['last-event-id'] = after;
  const { taskId, types = [], taskIds = [] } = target;
  const query = new URLSearchParams({ types: types.join(), taskIds: taskIds.join() }).toString();
  const path = taskId === undefined ? `/events?${query}` : `/tasks/${taskId}/events`;
  return httpRequest(url + path, { headers, agent: false }).end();
}

/** Handles one block of server-sent events, of graphql-sse or of a plain stream. */
function handleBlock(block: string, onEvent: (event: PushedEvent) => void, streamEnd: StreamEnd): void {
  const eventName = /^event: (.*)$/m.exec(block)?.[1];
  const data = /^data: ?(.*)$/m.exec(block)?.[1];
  if (data === undefined) return;
  if (eventName === 'complete') streamEnd.complete = true;
  else if (eventName === 'closing') streamEnd.closing = JSON.parse(data) as StreamEnd['closing'];
  else if (eventName === undefined) onEvent(JSON.parse(data) as PushedEvent);
  else {
    const payload = JSON.parse(data) as ExecutionPayload;
    if (payload.errors) streamEnd.errors = payload.errors;
    else if (payload.data?.pushed) onEvent(payload.data.pushed);
  }
}
