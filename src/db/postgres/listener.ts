import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Logger } from 'pino';

/** Delays before reconnecting: short at first, then one second. */
const RECONNECT_DELAYS_MS = [50, 200, 500, 1_000];

export interface NotificationListenerOptions {
  url: string;
  channel: string;
  log: Logger;
  onNotification: (payload: string) => void;
  /** Called after each successful LISTEN, because notifications before it can have been missed. */
  onListening: () => void;
}

/**
 * The one LISTEN connection of the instance. It reconnects by itself. Notifications during an outage are lost, so read the
 * tables in `onListening`.
 */
export class NotificationListener {
  private client: pg.Client | null = null;
  private failures = 0;
  private readonly closing = new AbortController();

  constructor(private readonly options: NotificationListenerOptions) {}

  /** Connects now, or as soon as PostgreSQL can be reached. Never throws. */
  async start(): Promise<void> {
    if (this.closing.signal.aborted) return;
    const { url, channel, log, onNotification, onListening } = this.options;
    const client = new pg.Client({
      connectionString: url,
      application_name: 'darkroom listener',
      keepAlive: true,
    });
    this.client = client;
    client.on('notification', ({ payload }) => onNotification(payload ?? ''));
    client.on('error', (error) =>
      log.warn({ error: error.message }, 'the connection for database notifications was lost; reconnecting'),
    );
    client.on('end', () => this.reconnect(client));
    try {
      await client.connect();
      await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`);
      this.failures = 0;
      onListening();
    } catch (error) {
      log.warn(
        { error: error instanceof Error ? error.message : String(error) },
        'cannot listen for database notifications; retrying',
      );
      this.reconnect(client);
    }
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.client?.end().catch(() => undefined);
  }

  private reconnect(client: pg.Client): void {
    const { signal } = this.closing;
    if (signal.aborted || this.client !== client) return;
    this.client = null;
    client.end().catch(() => undefined);
    const delayMs = RECONNECT_DELAYS_MS[Math.min(this.failures, RECONNECT_DELAYS_MS.length - 1)] ?? 1_000;
    this.failures += 1;
    delay(delayMs, undefined, { signal }).then(
      () => this.start(),
      () => undefined,
    );
  }
}
