import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

/** Called with the first line of an HTTP request and the status that answered it. */
export type OnExchange = (requestLine: string, status: number) => void;

export interface TcpProxyOptions {
  /** The ports of 127.0.0.1 to try, best first, asked for at each connection. */
  targets: () => readonly number[];
  /** Listens in on HTTP/1.1 connections whose requests follow each other, as those of Node's clients do. */
  onExchange?: OnExchange;
}

/**
 * Below what Linux gives to outgoing connections (32768 and up), so that nobody takes the port of a machine that is down
 * for a while.
 */
const PORTS = { low: 20_000, high: 31_999 };
const PORT_ATTEMPTS = 100;
const LISTEN_AGAIN_MS = 100;

/** A fixed port whose connections go to a target that can change. While it is cut nobody gets through: refused, not silent. */
export class TcpProxy {
  private server: Server | null = null;
  private readonly sockets = new Set<Socket>();

  private constructor(
    readonly port: number,
    private readonly options: TcpProxyOptions,
  ) {}

  static async open(options: TcpProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(await freePort(), options);
    await proxy.mend();
    return proxy;
  }

  /** Destroys the connections that there are, and refuses new ones. */
  async cut(): Promise<void> {
    const closed = this.server ? once(this.server, 'close') : null;
    this.server?.close();
    this.server = null;
    this.sockets.forEach((socket) => socket.destroy());
    await closed;
  }

  /** Lets connections through again. */
  async mend(): Promise<void> {
    for (let attempt = 1; !this.server; attempt += 1) {
      const server = createServer((client) => void this.forward(client));
      try {
        server.listen(this.port, '127.0.0.1');
        await once(server, 'listening');
        this.server = server;
      } catch (error) {
        if (attempt === PORT_ATTEMPTS) throw error;
        await pause(LISTEN_AGAIN_MS);
      }
    }
  }

  private async forward(client: Socket): Promise<void> {
    this.keep(client);
    for (const port of this.options.targets()) {
      const target = await connected(port);
      if (!target) continue;
      this.keep(target);
      client.once('close', () => target.destroySoon());
      target.once('close', () => client.destroySoon());
      if (client.destroyed || !this.server) target.destroy();
      if (this.options.onExchange) listenIn(client, target, this.options.onExchange);
      client.pipe(target).pipe(client);
      return;
    }
    client.resetAndDestroy();
  }

  private keep(socket: Socket): void {
    this.sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined); // 'close' follows
    socket.once('close', () => this.sockets.delete(socket));
  }
}

/** A port of this machine that is free and stays so, as far as one can tell. */
export async function freePort(): Promise<number> {
  for (let attempt = 1; attempt <= PORT_ATTEMPTS; attempt += 1) {
    const port = PORTS.low + Math.floor(Math.random() * (PORTS.high - PORTS.low));
    const probe = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => probe.close(resolve));
    return port;
  }
  throw new Error(`No free port was found between ${PORTS.low} and ${PORTS.high}.`);
}

/** A connection to the port, or null when it was refused. A stopped process accepts: its kernel does so for it. */
async function connected(port: number): Promise<Socket | null> {
  const socket = connect(port, '127.0.0.1');
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(null));
  });
}

function listenIn(client: Socket, target: Socket, onExchange: OnExchange): void {
  let requestLine = '';
  client.on('data', (chunk) => {
    requestLine = /^[A-Z]+ \S+ HTTP\/1\.1/.exec(chunk.toString('latin1', 0, 500))?.[0] ?? requestLine;
  });
  target.on('data', (chunk) => {
    const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(chunk.toString('latin1', 0, 20)) ?? [];
    if (status) onExchange(requestLine, Number(status));
  });
}
