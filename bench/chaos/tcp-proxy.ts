import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { type Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';

/** Called with the first line of an HTTP request and the status of its response. */
export type OnExchange = (requestLine: string, status: number) => void;

export interface TcpProxyOptions {
  /** Returns the ports of 127.0.0.1 to try, best first. Called for each connection. */
  targets: () => readonly number[];
  /** Observes HTTP/1.1 connections without pipelining, as Node's clients use them. */
  onExchange?: OnExchange;
  /** Creates what the bytes of a connection from its target to its client go through. */
  createFilter?: () => Duplex;
}

interface Connection {
  target: Socket;
  filter: Duplex | null;
}

/** Below the ports that Linux uses for outgoing connections (32768 and up), so that the port of a stopped server stays free. */
const PORTS = { low: 20_000, high: 31_999 };
const MAX_PORT_ATTEMPTS = 100;
const LISTEN_RETRY_DELAY_MS = 100;

/** Forwards a fixed port to a target that can change. While disconnected it refuses connections. */
export class TcpProxy {
  private server: Server | null = null;
  private readonly sockets = new Set<Socket>();
  /** The open connections by their client. */
  private readonly connections = new Map<Socket, Connection>();
  private isSilent = false;

  private constructor(
    readonly port: number,
    private readonly options: TcpProxyOptions,
  ) {}

  static async open(options: TcpProxyOptions): Promise<TcpProxy> {
    const proxy = new TcpProxy(await freePort(), options);
    await proxy.reconnect();
    return proxy;
  }

  /** Destroys all connections and refuses new ones. */
  async disconnect(): Promise<void> {
    const closed = this.server ? once(this.server, 'close') : null;
    this.server?.close();
    this.server = null;
    this.sockets.forEach((socket) => socket.destroy());
    await closed;
  }

  /** Accepts connections again. */
  async reconnect(): Promise<void> {
    for (let attempt = 1; !this.server; attempt += 1) {
      const server = createServer((client) => void this.forward(client));
      try {
        server.listen(this.port, '127.0.0.1');
        await once(server, 'listening');
        this.server = server;
      } catch (error) {
        if (attempt === MAX_PORT_ATTEMPTS) throw error;
        await pause(LISTEN_RETRY_DELAY_MS);
      }
    }
  }

  /** Forwards nothing any more on old and new connections, like a network that loses every packet. Nobody is told. */
  silence(): void {
    this.isSilent = true;
    for (const [client, { target }] of this.connections) {
      for (const socket of [client, target]) socket.unpipe().pause();
    }
  }

  /** Forwards again, also what was sent in the meantime. */
  endSilence(): void {
    this.isSilent = false;
    for (const [client, connection] of this.connections) pipeBothWays(client, connection);
  }

  private async forward(client: Socket): Promise<void> {
    this.trackSocket(client);
    for (const port of this.options.targets()) {
      const target = await tryConnect(port);
      if (!target) continue;
      this.trackSocket(target);
      client.once('close', () => target.destroySoon());
      target.once('close', () => client.destroySoon());
      if (client.destroyed || !this.server) target.destroy();
      if (this.options.onExchange) observeExchanges(client, target, this.options.onExchange);
      const connection = { target, filter: this.options.createFilter?.() ?? null };
      connection.filter?.pipe(client);
      this.connections.set(client, connection);
      client.once('close', () => this.connections.delete(client));
      if (!this.isSilent) pipeBothWays(client, connection);
      return;
    }
    client.resetAndDestroy();
  }

  private trackSocket(socket: Socket): void {
    this.sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined); // 'close' follows
    socket.once('close', () => this.sockets.delete(socket));
  }
}

function pipeBothWays(client: Socket, { target, filter }: Connection): void {
  client.pipe(target).pipe(filter ?? client);
}

/** A local port that is free and likely to stay free. */
export async function freePort(): Promise<number> {
  for (let attempt = 1; attempt <= MAX_PORT_ATTEMPTS; attempt += 1) {
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

/** Connects to the port. Null when refused. A paused process still accepts connections, because the kernel does it. */
async function tryConnect(port: number): Promise<Socket | null> {
  const socket = connect(port, '127.0.0.1');
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(null));
  });
}

function observeExchanges(client: Socket, target: Socket, onExchange: OnExchange): void {
  let requestLine = '';
  client.on('data', (chunk) => {
    requestLine = /^[A-Z]+ \S+ HTTP\/1\.1/.exec(chunk.toString('latin1', 0, 500))?.[0] ?? requestLine;
  });
  target.on('data', (chunk) => {
    const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(chunk.toString('latin1', 0, 20)) ?? [];
    if (status) onExchange(requestLine, Number(status));
  });
}
