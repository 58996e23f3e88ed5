import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { type Duplex } from 'node:stream';

/** What a client asked for: `host:port`, and the credentials that it sent. */
interface Tunnel {
  target: string;
  authorization: string | undefined;
}

/** A real HTTP proxy on the loopback interface that only opens tunnels. Each one ends at a server of the test. */
export class ConnectProxy {
  readonly tunnels: Tunnel[] = [];
  /** The product that asked for each tunnel. */
  readonly userAgents: (string | undefined)[] = [];
  /** The status of its answers. Anything but 200 opens no tunnel. A function decides by the target. */
  statusOf: (target: string) => number = () => 200;
  private readonly sockets = new Set<Duplex>();

  private constructor(
    private readonly server: Server,
    private readonly destinationPort: number,
  ) {
    server.on('connection', (socket: Socket) => this.sockets.add(socket));
    server.on('connect', (request: IncomingMessage, client: Duplex) => this.open(request, client));
  }

  static async open(destinationPort: number): Promise<ConnectProxy> {
    const server = createServer((_request, response) => response.writeHead(405).end());
    const proxy = new ConnectProxy(server, destinationPort);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get targets(): string[] {
    return this.tunnels.map(({ target }) => target);
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private open({ url: target = '', headers }: IncomingMessage, client: Duplex): void {
    client.on('error', () => undefined);
    this.tunnels.push({ target, authorization: headers['proxy-authorization'] });
    this.userAgents.push(headers['user-agent']);
    const status = this.statusOf(target);
    if (status !== 200) return void client.end(`HTTP/1.1 ${status} Refused\r\ncontent-length: 0\r\n\r\n`);
    const server = connect(this.destinationPort, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      server.pipe(client).pipe(server);
    });
    this.sockets.add(server);
    server.on('error', () => client.destroy()).on('close', () => client.destroy());
    client.on('close', () => server.destroy());
  }
}
