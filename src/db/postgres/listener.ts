import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { type Logger } from 'pino';
import { delayAfter } from '../../core/primitives/async.js';
import { Progress } from '../../core/primitives/progress.js';
import { CONNECT_TIMEOUT_MS, DatabaseClient } from './pool.js';

/** Delays before reconnecting: short at first, then one second. */
const RECONNECT_DELAYS_MS = [50, 200, 500, 1_000] as const;
/** How often the connection is checked. A network that lost it reports no error, and an idle connection sends nothing. */
const CHECK_INTERVAL_MS = 2_000;
const CHECK_TIMEOUT_MS = 2_000;

interface NotificationListenerOptions {
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
  /** The last time that PostgreSQL answered on this connection. */
  readonly progress = new Progress();
  private readonly closing = new AbortController();

  constructor(private readonly options: NotificationListenerOptions) {}

  /** Connects now, or as soon as PostgreSQL can be reached. Never throws. */
  async start(): Promise<void> {
    if (this.closing.signal.aborted) return;
    const { url, channel, log, onNotification, onListening } = this.options;
    const client = new DatabaseClient({
      connectionString: url,
      application_name: 'darkroom listener',
      keepAlive: true,
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: CHECK_TIMEOUT_MS,
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
      if (this.client !== client) return void client.end();
      this.failures = 0;
      this.progress.record();
      onListening();
      void this.checkUntilItFails(client);
    } catch (error) {
      log.warn(
        { error: error instanceof Error ? error.message : String(error) },
        'cannot listen for database notifications; retrying',
      );
      this.reconnect(client);
    }
  }

  /** Leaves the current connection, or the current attempt to get one, and connects again. */
  restart(): void {
    if (this.client) this.reconnect(this.client);
    else void this.start();
  }

  async close(): Promise<void> {
    this.closing.abort();
    await this.client?.end().catch(() => undefined);
  }

  private async checkUntilItFails(client: pg.Client): Promise<void> {
    const { signal } = this.closing;
    try {
      while (this.client === client) {
        await delay(CHECK_INTERVAL_MS, undefined, { signal, ref: false });
        await client.query('SELECT 1');
        this.progress.record();
      }
    } catch {
      if (!signal.aborted) this.reconnect(client);
    }
  }

  private reconnect(client: pg.Client): void {
    const { signal } = this.closing;
    if (signal.aborted || this.client !== client) return;
    this.client = null;
    client.end().catch(() => undefined);
    this.failures += 1;
    const delayMs = delayAfter(RECONNECT_DELAYS_MS, this.failures);
    delay(delayMs, undefined, { signal }).then(
      () => (this.client ? undefined : this.start()),
      () => undefined,
    );
  }
}
