import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** The first attempt of one callback in so many is refused, and of another broken off. */
const EVERY = 10;
const REFUSED = 3;
const BROKEN_OFF = 7;

/** Where the customers want their results: a server that takes each callback sooner or later, and remembers which. */
export class Receiver {
  /** By `webhook-id`: how often it was answered with 200. */
  readonly taken = new Map<string, number>();
  private readonly seen = new Set<string>();
  private callbacks = 0;

  private constructor(private readonly server: Server) {}

  static async open(): Promise<Receiver> {
    const server = createServer((request, response) => void receiver.answer(request, response));
    const receiver = new Receiver(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/results`;
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const id = String(request.headers['webhook-id']);
    // Who posts may be killed in the middle of it: then nothing was taken.
    const body = await text(request).catch(() => null);
    if (body === null) return;
    if (!this.seen.has(id)) {
      this.seen.add(id);
      this.callbacks += 1;
      if (this.callbacks % EVERY === REFUSED) return void response.writeHead(500).end();
      if (this.callbacks % EVERY === BROKEN_OFF) return void response.destroy();
    }
    this.taken.set(id, (this.taken.get(id) ?? 0) + 1);
    response.end();
  }
}
