import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A proxy between a client and a server that can break connections, like a network failure or a restart of the server. */
export class TcpProxy {
  private readonly sockets = new Set<Socket>();
  /** Those of `sockets` that lead to the server. */
  private readonly serverSockets = new Set<Socket>();
  private server: Server | null = null;
  private port = 0;
  private frozen = false;

  private constructor(private target: { host: string; port: number }) {}

  static async open(target: { host: string; port: number }): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await proxy.restore();
    return proxy;
  }

  /** Opens a proxy in front of a database, and returns the URL to use instead. */
  static async inFrontOf(databaseUrl: string): Promise<{ proxy: TcpProxy; url: string }> {
    const url = new URL(databaseUrl);
    const proxy = await TcpProxy.open({ host: url.hostname, port: Number(url.port) });
    url.hostname = '127.0.0.1';
    url.port = String(proxy.port);
    return { proxy, url: url.href };
  }

  /** Forwards new connections to another port, such as that of a server that was started again. */
  forwardTo(databaseUrl: string): void {
    const { hostname: host, port } = new URL(databaseUrl);
    this.target = { host, port: Number(port) };
  }

  /** Destroys all connections and refuses new ones. */
  async cut(): Promise<void> {
    await this.close((socket) => socket.destroy());
  }

  /** The same with a packet that resets each connection, so that a client finds ECONNRESET and not an end. */
  async reset(): Promise<void> {
    await this.close((socket) => socket.resetAndDestroy());
  }

  private async close(end: (socket: Socket) => void): Promise<void> {
    const { server } = this;
    if (!server) return;
    this.server = null;
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.sockets) end(socket);
    await closed;
  }

  /** Forwards nothing any more on old and new connections, like a network that loses every packet. */
  freeze(): void {
    this.frozen = true;
    for (const socket of this.sockets) socket.unpipe().pause();
  }

  /** Forwards no more answers on old connections, but still what the client sends. */
  loseAnswers(): void {
    for (const socket of this.serverSockets) socket.unpipe().resume();
  }

  /** Listens again on the same port, and forwards what comes over new connections. */
  async restore(): Promise<void> {
    this.frozen = false;
    const server = createServer((client) => this.pipeClient(client));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.port, '127.0.0.1', resolve);
    });
    this.server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  private pipeClient(client: Socket): void {
    const server = connect(this.target);
    this.serverSockets.add(server);
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => {
        this.sockets.delete(from);
        this.serverSockets.delete(from);
        to.destroy();
      });
      if (!this.frozen) from.pipe(to);
    }
  }
}
