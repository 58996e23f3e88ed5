import { RawWebSocket } from '../events/raw-websocket.js';
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
  const closed = socket.closed.then(({ code }) => ({ closeCode: code, code: null, message: '' }));
  const answered = (async () => {
    socket.sendConnectionInit(key);
    await socket.waitForMessage('connection_ack');
    socket.send({ type: 'subscribe', id: '1', payload: operation });
    const { payload } = await Promise.any([
      socket.waitForMessage('error', '1'),
      socket.waitForMessage('next', '1'),
    ]);
    const errors = Array.isArray(payload) ? payload : (payload as { errors?: unknown[] }).errors;
    const [error] = (errors ?? []) as ErrorObject[];
    return { code: error?.extensions?.code, message: error?.message ?? '' };
  })();
  // The wait ends with a timeout if the socket was closed.
  answered.catch(() => undefined);
  const outcome = await Promise.race([closed, answered]);
  socket.cut();
  return { status: null, headers: null, ...outcome };
}
