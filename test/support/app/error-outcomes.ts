import { RawWebSocket } from '../events/raw-websocket.js';
import { waitFor } from '../wait-for.js';
import { type TestApp } from './test-app.js';

/** What a client learns of a failed request. The headers are null on a WebSocket, and the code is null when it was closed. */
export interface ErrorOutcome {
  status: number | null;
  code: unknown;
  message: string;
  headers: Record<string, string | null> | null;
  closeCode?: number;
}
interface ErrorObject {
  code?: unknown;
  message: string;
  extensions?: { code?: unknown };
}

export const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const JSON_TYPE = { 'content-type': 'application/json' };

/** Sends any request, and reads the error from the envelope of its path. */
export async function errorOf(app: TestApp, path: string, init: RequestInit = {}): Promise<ErrorOutcome> {
  const response = await fetch(app.url + path, init);
  const text = await response.text();
  const [, event] = /^event: next\ndata: (.*)$/m.exec(text) ?? [];
  const json = JSON.parse(event ?? text) as { error?: ErrorObject; errors?: ErrorObject[] };
  const error = json.error ?? json.errors?.[0];
  const header = (name: string) => response.headers.get(name);
  return {
    status: response.status,
    code: error?.extensions?.code ?? error?.code,
    message: error?.message ?? '',
    headers: {
      'cache-control': header('cache-control'),
      'retry-after': header('retry-after'),
      'www-authenticate': header('www-authenticate'),
    },
  };
}

/** Posts an object as JSON, or a text unchanged. */
export function errorOfPost(
  app: TestApp,
  path: string,
  { body, headers = {} }: { body: string | object; headers?: Record<string, string> },
): Promise<ErrorOutcome> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return errorOf(app, path, { method: 'POST', headers: { ...JSON_TYPE, ...headers }, body: text });
}

/** Runs an operation on a WebSocket of its own. */
export async function errorOverWebSocket(
  app: TestApp,
  key: string,
  operation: object,
): Promise<ErrorOutcome> {
  const socket = await RawWebSocket.open(app.url);
  let closeCode: number | undefined;
  void socket.closed.then(({ code }) => (closeCode = code));
  // The payload is null if the socket was closed instead.
  const waitForMessage = (...types: string[]) =>
    waitFor(types.join(' or '), () => {
      const message = socket.messages.find(({ type }) => types.includes(type));
      return message ?? (closeCode !== undefined && { payload: null });
    });
  socket.sendConnectionInit(key);
  await waitForMessage('connection_ack');
  if (closeCode === undefined) socket.send({ type: 'subscribe', id: '1', payload: operation });
  const { payload } = await waitForMessage('error', 'next');
  socket.cut();
  const errors = Array.isArray(payload) ? payload : (Object(payload) as { errors?: unknown[] }).errors;
  const [error] = (errors ?? []) as ErrorObject[];
  const outcome = { code: error?.extensions?.code ?? null, message: error?.message ?? '' };
  return { status: null, headers: null, ...outcome, ...(!error && closeCode !== undefined && { closeCode }) };
}
