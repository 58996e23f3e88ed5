import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { HOSTILE_KINDS, type HostileTarget, type Hostility } from './hostile-kinds.js';

const WRITE_INTERVAL_MS = 50;
/** As often as a reverse proxy lets one client connect: see hostile.ts. */
const REOPEN_DELAY_MS = 1_000;

/**
 * Keeps connections open that misbehave, of all kinds in turn. Each is opened again a second after the service has closed it, and not
 * all in the same moment.
 */
export class HostileConnections {
  private readonly opened = new Map<string, number>();
  private readonly open = new Set<Socket>();
  private isStopping = false;
  private running: Promise<unknown> = Promise.resolve();

  constructor(private readonly target: HostileTarget) {}

  start(count: number): void {
    const kinds = Object.entries(HOSTILE_KINDS).filter(([, kind]) => kind(this.target) !== null);
    const connections = Array.from({ length: count }, (_, number) => {
      const [name, kind] = kinds[number % kinds.length] ?? [];
      return name && kind ? this.keepConnected(name, () => kind(this.target)) : Promise.resolve();
    });
    this.running = Promise.all(connections);
  }

  /** Closes all connections. Returns how many were opened, by kind. */
  async stop(): Promise<Record<string, number>> {
    this.isStopping = true;
    for (const socket of this.open) socket.destroy();
    await this.running;
    return Object.fromEntries(this.opened);
  }

  private async keepConnected(kind: string, behave: () => Hostility | null): Promise<void> {
    while (!this.isStopping) {
      const hostility = behave();
      if (!hostility) return;
      this.opened.set(kind, (this.opened.get(kind) ?? 0) + 1);
      await this.connectOnce(hostility);
      await pause(REOPEN_DELAY_MS * (0.5 + Math.random()));
    }
  }

  /** Resolves when the connection has closed. A client that does not read notices it when it writes. */
  private async connectOnce({ opening, more, neverReads }: Hostility): Promise<void> {
    const socket = connect({ port: this.target.port, host: '127.0.0.1' });
    this.open.add(socket);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.on('error', () => undefined); // 'close' follows
    if (!neverReads) socket.resume();
    socket.write(opening);
    const writeMore = () => {
      if (more && !socket.writableNeedDrain && socket.writable) socket.write(more());
    };
    // Not in step with the others.
    let timer = setTimeout(
      () => (timer = setInterval(writeMore, WRITE_INTERVAL_MS)),
      Math.random() * WRITE_INTERVAL_MS,
    );
    await closed;
    clearInterval(timer);
    this.open.delete(socket);
  }
}
