import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/** In each period of this many deliveries, the first attempt of one is refused and that of another is dropped. */
const FAULT_PERIOD = 10;
const REFUSED_INDEX = 3;
const DROPPED_INDEX = 7;

/** The customer's webhook endpoint. Accepts every delivery eventually, and records which. */
export class WebhookEndpointServer {
  /** How often each `webhook-id` was answered with 200. */
  readonly receivedCounts = new Map<string, number>();
  private readonly seenIds = new Set<string>();
  private deliveryCount = 0;

  private constructor(private readonly server: Server) {}

  static async open(): Promise<WebhookEndpointServer> {
    const server = createServer((request, response) => void endpoint.handle(request, response));
    const endpoint = new WebhookEndpointServer(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return endpoint;
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

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const id = String(request.headers['webhook-id']);
    // The sender may be killed in the middle of the request. Such a delivery was not received.
    const body = await text(request).catch(() => null);
    if (body === null) return;
    if (!this.seenIds.has(id)) {
      this.seenIds.add(id);
      this.deliveryCount += 1;
      if (this.deliveryCount % FAULT_PERIOD === REFUSED_INDEX) return void response.writeHead(500).end();
      if (this.deliveryCount % FAULT_PERIOD === DROPPED_INDEX) return void response.destroy();
    }
    this.receivedCounts.set(id, (this.receivedCounts.get(id) ?? 0) + 1);
    response.end();
  }
}
