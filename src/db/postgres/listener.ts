import pg from 'pg';
import { type Logger } from 'pino';

/** Milliseconds before a lost connection is tried again: quick at first, then once a second. */
const RECONNECT_DELAYS_MS = [50, 200, 500, 1_000];

export interface ListenerOptions {
  url: string;
  channel: string;
  log: Logger;
  onNotify: (payload: string) => void;
  /** Called after each successful LISTEN: notifications may have been missed before it. */
  onListening: () => void;
}

/**
 * The instance's one LISTEN connection. It comes back by itself when it is lost; what was notified meanwhile is gone, so
 * `onListening` is the moment to look at the tables.
 */
export class Listener {
  private client: pg.Client | null = null;
  private timer: NodeJS.Timeout | null = null;
  private failures = 0;
  private closed = false;

  constructor(private readonly options: ListenerOptions) {}

  /** Connects, now or as soon as Postgres can be reached. Never throws. */
  async start(): Promise<void> {
    if (this.closed) return;
    const { url, channel, log, onNotify, onListening } = this.options;
    const client = new pg.Client({
      connectionString: url,
      application_name: 'darkroom listener',
      keepAlive: true,
    });
    this.client = client;
    client.on('notification', ({ payload }) => onNotify(payload ?? ''));
    client.on('error', (error) => log.warn({ error: error.message }, 'the listening connection was lost'));
    client.on('end', () => this.reconnect(client));
    try {
      await client.connect();
      await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
      this.failures = 0;
      onListening();
    } catch (error) {
      log.warn(
        { error: error instanceof Error ? error.message : String(error) },
        'cannot listen for events yet',
      );
      this.reconnect(client);
    }
  }

  async close(): Promise<void> {
    this.closed = true;
    if (this.timer) clearTimeout(this.timer);
    await this.client?.end().catch(() => undefined);
  }

  private reconnect(lost: pg.Client): void {
    if (this.closed || this.client !== lost) return;
    this.client = null;
    lost.end().catch(() => undefined);
    const delay = RECONNECT_DELAYS_MS[Math.min(this.failures, RECONNECT_DELAYS_MS.length - 1)] ?? 1_000;
    this.failures += 1;
    this.timer = setTimeout(() => void this.start(), delay);
  }
}
