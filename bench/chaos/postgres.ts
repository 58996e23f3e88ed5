import { setTimeout as pause } from 'node:timers/promises';
import { Client, type QueryResultRow } from 'pg';
import { pino } from 'pino';
import { EmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.js';
import { holdAllConnections } from './connection-hog.js';
import { LimitedDisk } from './limited-disk.js';
import { NotificationFilter } from './notification-filter.js';
import { isProcessAlive } from '../../src/db/embedded/postmaster.js';
import { TcpProxy } from './tcp-proxy.js';

/** Twice the needs of three instances with a pool of 20 and a listener each, because a killed instance's may linger. */
const MAX_CONNECTIONS = 150;
const QUERY_RETRY_DELAY_MS = 100;
/** Hundred times what PostgreSQL takes on a busy machine. */
const PROBE_TIMEOUT_MS = 2_000;
const MAX_QUERY_ATTEMPTS = 300;
/** Ends the connections of the instances. */
const TERMINATE = `
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'chaos'`;
/** This program's changes do not wait for a replica. */
const OWN_OPTIONS = { application_name: 'chaos', options: '-c synchronous_commit=local' };

/**
 * A PostgreSQL with durable commits, so that a crash loses none. Instances connect through a proxy, because it restarts on
 * another port. This program reads from it directly.
 */
export class ChaosPostgres {
  private isStopping = false;
  private restarting: Promise<void> = Promise.resolve();
  /** Whether the network loses the notifications for listeners, and nothing else. */
  losesNotifications = false;

  private constructor(
    /** Holds the data and the write-ahead log. */
    readonly disk: LimitedDisk,
    private server: EmbeddedPostgres,
    /** Where the proxy connects to. */
    private readonly target: { port: number },
    readonly proxy: TcpProxy,
  ) {}

  static async start(dataDir: string): Promise<ChaosPostgres> {
    const disk = await LimitedDisk.mount(dataDir);
    try {
      const server = await startServer(dataDir);
      const target = { port: portOf(server) };
      const proxy = await TcpProxy.open({
        targets: () => [target.port],
        createFilter: () => new NotificationFilter(() => postgres.losesNotifications),
      });
      const postgres = new ChaosPostgres(disk, server, target, proxy);
      return postgres;
    } catch (error) {
      await disk.unmount();
      throw error;
    }
  }

  /** URL for the instances. It stays the same across restarts. */
  get url(): string {
    const url = new URL(this.server.url);
    url.port = String(this.proxy.port);
    return url.href;
  }

  private get database(): string {
    return new URL(this.server.url).pathname.slice(1);
  }

  /** Ends PostgreSQL: `immediate` like a crash, `fast` like an operator who restarts it. Its connections break. */
  async shutDown(mode: 'fast' | 'immediate'): Promise<void> {
    const exited = new Promise<void>((resolve) => this.server.onExit(resolve));
    process.kill(this.server.pid, mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await exited;
  }

  /** Starts PostgreSQL again, on another port. After a crash it first replays its write-ahead log. */
  async restart(): Promise<void> {
    if (this.isStopping) return;
    this.restarting = startServer(this.disk.folder).then((server) => {
      this.server = server;
      this.target.port = portOf(server);
    });
    await this.restarting;
  }

  /** Resolves when PostgreSQL answers. Starts it again if it has ended by itself, or is about to. */
  async recover(): Promise<void> {
    for (;;) {
      if (!isProcessAlive(this.server.pid)) await this.restart();
      const isAnswering = await this.queryOnce('SELECT').then(
        () => true,
        () => false,
      );
      if (isAnswering) return;
      await pause(QUERY_RETRY_DELAY_MS);
    }
  }

  /** Changes settings of the running server. Null restores the default. */
  async configure(settings: Readonly<Record<string, string | null>>): Promise<void> {
    for (const [name, value] of Object.entries(settings)) {
      await this.query(
        value === null ? `ALTER SYSTEM RESET ${name}` : `ALTER SYSTEM SET ${name} = '${value}'`,
      );
    }
    await this.query('SELECT pg_reload_conf()');
  }

  /** Ends the connections of the instances and takes all of the server's for `ms`, so that they cannot come back. */
  async takeAllConnections(ms: number): Promise<void> {
    await holdAllConnections({ url: () => this.server.url, terminate: TERMINATE, ms });
  }

  /** Makes the server refuse writes, as a primary that was demoted does. Existing connections end, as in a failover. */
  async setReadOnly(): Promise<void> {
    await this.query(`ALTER DATABASE ${this.database} SET default_transaction_read_only = on`);
    await this.terminateConnections();
  }

  /** Allows writes again, on new connections only. */
  async setWritable(): Promise<void> {
    const allow = `ALTER DATABASE ${this.database} RESET default_transaction_read_only`;
    await this.query(`SET transaction_read_only = off; ${allow}`);
  }

  /** Terminates all connections of the instances, and returns their number. */
  async terminateConnections(): Promise<number> {
    return (await this.query(TERMINATE)).length;
  }

  /** Runs a query on its own connection. Retries for half a minute while PostgreSQL is down. */
  async query<Row extends QueryResultRow>(text: string): Promise<Row[]> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.queryOnce<Row>(text);
      } catch (error) {
        if (attempt === MAX_QUERY_ATTEMPTS) throw error;
        await pause(QUERY_RETRY_DELAY_MS);
      }
    }
  }

  /** Creates what `probe` writes to. Not part of the service's schema. */
  async prepareProbe(): Promise<void> {
    await this.query(
      'CREATE SCHEMA IF NOT EXISTS chaos; CREATE TABLE IF NOT EXISTS chaos.probe (at timestamptz)',
    );
  }

  /** Whether a new connection through the network gets a commit. */
  async probe(): Promise<boolean> {
    const timeouts = { connectionTimeoutMillis: PROBE_TIMEOUT_MS, query_timeout: PROBE_TIMEOUT_MS };
    const client = new Client({ connectionString: this.url, application_name: 'chaos', ...timeouts });
    client.on('error', () => undefined); // the query rejects
    try {
      await client.connect();
      await client.query('INSERT INTO chaos.probe VALUES (now())');
      return true;
    } catch {
      return false;
    } finally {
      void client.end().catch(() => undefined); // a silent network does not answer that either
    }
  }

  /** Runs a query on its own connection. */
  async queryOnce<Row extends QueryResultRow>(text: string): Promise<Row[]> {
    const client = new Client({ connectionString: this.server.url, ...OWN_OPTIONS });
    client.on('error', () => undefined); // the query rejects
    try {
      await client.connect();
      return (await client.query<Row>(text)).rows;
    } finally {
      await client.end().catch(() => undefined);
    }
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.proxy.disconnect();
    await this.restarting.catch(() => undefined);
    await this.server.stop();
    await this.disk.unmount();
  }
}

async function startServer(dataDir: string): Promise<EmbeddedPostgres> {
  const log = pino({ level: 'silent' });
  return EmbeddedPostgres.start({ dataDir, log, durable: true, maxConnections: MAX_CONNECTIONS });
}

function portOf(server: EmbeddedPostgres): number {
  return Number(new URL(server.url).port);
}
