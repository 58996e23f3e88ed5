import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, type Socket } from 'node:net';
import { RequestFailed } from '../../../src/net/request-failed.js';

export interface Received {
  method: string;
  path: string;
  headers: IncomingMessage['headers'];
  body: string;
  /** The connection that it came on: the caller's port. */
  connection: number | undefined;
}
export type Answerer = (response: ServerResponse, received: Received) => void;

/** A real HTTP server on loopback that remembers what it was sent. */
export class Peer {
  readonly received: Received[] = [];
  /** Every connection that was opened, also those that brought no request. */
  readonly sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor(public answer: Answerer) {
    this.#server = createServer((incoming, response) => void this.#receive(incoming, response));
    this.#server.on('connection', (socket) => this.sockets.add(socket));
  }

  static async open(answer: Answerer): Promise<Peer> {
    const peer = new Peer(answer);
    await new Promise<void>((resolve) => peer.#server.listen(0, '127.0.0.1', resolve));
    return peer;
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
    this.received.push(received);
    this.answer(response, received);
  }
}

/** Answers with this status and body; an object as JSON, a text as it is. */
export function reply(status: number, body: unknown, headers: Record<string, string> = {}): Answerer {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return (response) => response.writeHead(status, headers).end(text);
}

/** Closes the connection without an answer. */
export const drop: Answerer = (response) => response.destroy();

/** Announces 100 bytes, sends a few and closes the connection. */
export const halfReply: Answerer = (response) => {
  response.writeHead(200, { 'content-length': '100' });
  response.write('{"task_id":', () => response.destroy());
};

/** Reads the request and says nothing. */
export const silence: Answerer = () => undefined;

/** The error of a request that has to fail with RequestFailed. */
export async function failureOf(request: Promise<unknown>): Promise<RequestFailed> {
  const error: unknown = await request.then(
    () => null,
    (cause: unknown) => cause,
  );
  if (error instanceof RequestFailed) return error;
  throw new Error('expected RequestFailed', { cause: error });
}
