import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, type Socket } from 'node:net';
import { RequestFailed } from '../../../src/net/request-failed.js';

export interface ReceivedRequest {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
  /** Identifies the connection: the client's port. */
  connection: number | undefined;
}
export type RequestHandler = (response: ServerResponse, received: ReceivedRequest) => void;

/** A real HTTP server on the loopback interface that records its requests. */
export class TestHttpServer {
  readonly requests: ReceivedRequest[] = [];
  /** All connections ever opened, including those without a request. */
  readonly sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(public handler: RequestHandler) {
    this.#server = createServer((incoming, response) => void this.#receive(incoming, response));
    this.#server.on('connection', (socket) => this.sockets.add(socket));
  }

  static async open(handler: RequestHandler): Promise<TestHttpServer> {
    const server = new TestHttpServer(handler);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #receive(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { method = '', url: path = '', headers, socket } = incoming;
    const body = Buffer.concat(chunks).toString();
    const received = { method, path, headers, body, connection: socket.remotePort };
    this.requests.push(received);
    this.handler(response, received);
  }
}

/** Responds with this status and body. Strings are sent as they are, and anything else as JSON. */
export function reply(status: number, body: unknown, headers: Record<string, string> = {}): RequestHandler {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return (response) => response.writeHead(status, headers).end(text);
}

/** Closes the connection without a response. */
export const dropConnection: RequestHandler = (response) => response.destroy();

/** Announces 100 bytes, sends a few and closes the connection. */
export const replyTruncated: RequestHandler = (response) => {
  response.writeHead(200, { 'content-length': '100' });
  response.write('{"task_id":', () => response.destroy());
};

/** Reads the request and never responds. */
export const neverReply: RequestHandler = () => undefined;

/** Returns the error of a request that must fail with RequestFailed. */
export async function expectRequestFailed(request: Promise<unknown>): Promise<RequestFailed> {
  const error: unknown = await request.then(
    () => null,
    (cause: unknown) => cause,
  );
  if (error instanceof RequestFailed) return error;
  throw new Error('expected RequestFailed', { cause: error });
}
