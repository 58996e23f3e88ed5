import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http';
import { WebSocket } from 'ws';

/** The three ways to watch. */
export const TRANSPORTS = ['websocket', 'graphql-sse', 'plain'] as const;
export type Transport = (typeof TRANSPORTS)[number];

export interface PushedEvent {
  id: string;
  cursor: string;
  type: string;
  data: Record<string, unknown>;
}

/** What to watch: one task, or the workspace through a filter. */
export interface Target {
  taskId?: string;
  types?: readonly string[];
  taskIds?: readonly string[];
  /** GraphQL: each event with its task, which is read when the event is shown. */
  withTask?: boolean;
}

/** How a stream came to its end. What is absent was not said. */
export interface Ending {
  /** HTTP: of the answer. */
  status?: number;
  /** HTTP: of an answer that is no stream. */
  body?: unknown;
  /** WebSocket: as the socket was closed. */
  code?: number;
  reason?: string;
  /** GraphQL: of a refusal. */
  errors?: { message: string; extensions?: { code?: string } }[];
  /** Plain: the last word of a stream that ends before its time. */
  closing?: { code: string; cursor: string | null };
  /** Nothing more will come of what was asked for. */
  complete?: boolean;
}

/** One connection with one stream on it. */
export interface Stream {
  readonly received: PushedEvent[];
  readonly ended: Promise<Ending>;
  /** Destroys the client's socket without a word. */
  cut(): void;
  /** Stops reading, and goes on reading. */
  pause(): void;
  resume(): void;
}

export interface StreamOptions {
  url: string;
  key: string;
  transport: Transport;
  target: Target;
  after?: string | null;
  /** Called with every event, at once. */
  take?: (event: PushedEvent) => void;
}

interface Answer {
  data?: { pushed?: PushedEvent } | null;
  errors?: Ending['errors'];
}

export function openStream(options: StreamOptions): Stream {
  const received: PushedEvent[] = [];
  const take = (event: PushedEvent) => {
    received.push(event);
    options.take?.(event);
  };
  const { transport } = options;
  return { received, ...(transport === 'websocket' ? overWebSocket : overHttp)({ ...options, take }) };
}

/** The document and the variables for a target. */
export function operationOf(target: Target, after: string | null = null) {
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

type Opened = Omit<Stream, 'received'>;
type OpenOptions = Required<Pick<StreamOptions, 'take'>> & StreamOptions;

function overWebSocket({ url, key, target, after, take }: OpenOptions): Opened {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/graphql`, 'graphql-transport-ws');
  const ending: Ending = {};
  const send = (message: object) => socket.send(JSON.stringify(message));
  const takeAnswer = ({ data, errors }: Answer) => {
    if (errors) ending.errors = errors;
    else if (data?.pushed) take(data.pushed);
  };
  socket.on('open', () => send({ type: 'connection_init', payload: { authorization: `Bearer ${key}` } }));
  socket.on('message', (text: Buffer) => {
    const message = JSON.parse(text.toString()) as { type: string; payload: Answer };
    if (message.type === 'connection_ack')
      send({ type: 'subscribe', id: '1', payload: operationOf(target, after) });
    else if (message.type === 'next') takeAnswer(message.payload);
    else if (message.type === 'complete') {
      ending.complete = true;
      socket.close(1000);
    }
  });
  socket.on('error', () => undefined);
  const ended = new Promise<Ending>((resolve) => {
    socket.once('close', (code, reason) => resolve({ ...ending, code, reason: reason.toString() }));
  });
  return {
    ended,
    cut: () => socket.terminate(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  };
}

function overHttp(options: OpenOptions): Opened {
  const ending: Ending = {};
  const request = ask(options);
  let response: IncomingMessage | null = null;
  const ended = new Promise<Ending>((resolve) => {
    request.once('response', (answer) => {
      response = answer;
      ending.status = answer.statusCode;
      let text = '';
      answer.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (ending.status !== 200) return;
        const blocks = text.split('\n\n');
        text = blocks.pop() ?? '';
        for (const block of blocks) takeBlock(block, options.take, ending);
      });
      answer.on('error', () => undefined);
      answer.once('close', () => {
        const isJson = answer.headers['content-type']?.includes('json');
        if (ending.status !== 200) ending.body = isJson ? (JSON.parse(text) as unknown) : text;
        resolve(ending);
      });
    });
    request.once('error', () => resolve(ending));
  });
  return {
    ended,
    cut: () => request.destroy(),
    pause: () => response?.pause(),
    resume: () => response?.resume(),
  };
}

function ask({ url, key, transport, target, after }: OpenOptions): ClientRequest {
  const headers: Record<string, string> = { authorization: `Bearer ${key}` };
  if (transport === 'graphql-sse') {
    headers['content-type'] = 'application/json';
    const request = httpRequest(`${url}/graphql/stream`, { method: 'POST', headers, agent: false });
    return request.end(JSON.stringify(operationOf(target, after)));
  }
  if (after) headers['last-event-id'] = after;
  const { taskId, types = [], taskIds = [] } = target;
  const query = new URLSearchParams({ types: types.join(), taskIds: taskIds.join() }).toString();
  const path = taskId === undefined ? `/events?${query}` : `/tasks/${taskId}/events`;
  return httpRequest(url + path, { headers, agent: false }).end();
}

/** One block of server-sent events, of either form. */
function takeBlock(block: string, take: (event: PushedEvent) => void, ending: Ending): void {
  const kind = /^event: (.*)$/m.exec(block)?.[1];
  const data = /^data: ?(.*)$/m.exec(block)?.[1];
  if (data === undefined) return;
  if (kind === 'complete') ending.complete = true;
  else if (kind === 'closing') ending.closing = JSON.parse(data) as Ending['closing'];
  else if (kind === undefined) take(JSON.parse(data) as PushedEvent);
  else {
    const answer = JSON.parse(data) as Answer;
    if (answer.errors) ending.errors = answer.errors;
    else if (answer.data?.pushed) take(answer.data.pushed);
  }
}
