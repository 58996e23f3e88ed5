import { setTimeout as pause } from 'node:timers/promises';
import { Client, type QueryResultRow } from 'pg';
import { pino } from 'pino';
import { EmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.js';
import { TcpProxy } from './tcp-proxy.js';

/** Twice the needs of three instances with a pool of 20 and a listener each, because a killed instance's may linger. */
const MAX_CONNECTIONS = 150;
const QUERY_RETRY_DELAY_MS = 100;
const MAX_QUERY_ATTEMPTS = 300;

/**
 * A PostgreSQL with durable commits, so that a crash loses none. Instances connect through a proxy, because it restarts on
 * another port. This program reads from it directly.
 */
export class ChaosPostgres {
  private isStopping = false;
  private restarting: Promise<void> = Promise.resolve();

  private constructor(
    private readonly dataDir: string,
    private server: EmbeddedPostgres,
    /** Where the proxy connects to. */
    private readonly target: { port: number },
    readonly proxy: TcpProxy,
  ) {}

  static async start(dataDir: string): Promise<ChaosPostgres> {
    const server = await startServer(dataDir);
    try {
      const target = { port: portOf(server) };
      const proxy = await TcpProxy.open({ targets: () => [target.port] });
      return new ChaosPostgres(dataDir, server, target, proxy);
    } catch (error) {
      await server.stop();
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
    this.restarting = startServer(this.dataDir).then((server) => {
      this.server = server;
      this.target.port = portOf(server);
    });
    await this.restarting;
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
    const rows = await this.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'chaos'`,
    );
    return rows.length;
  }

  /** Runs a query on its own connection. Retries for half a minute while PostgreSQL is down. */
  async query<Row extends QueryResultRow>(text: string): Promise<Row[]> {
    for (let attempt = 1; ; attempt += 1) {
      const client = new Client({ connectionString: this.server.url, application_name: 'chaos' });
      client.on('error', () => undefined); // the query rejects
      try {
        await client.connect();
        return (await client.query<Row>(text)).rows;
      } catch (error) {
        if (attempt === MAX_QUERY_ATTEMPTS) throw error;
        await pause(QUERY_RETRY_DELAY_MS);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.proxy.disconnect();
    await this.restarting.catch(() => undefined);
    await this.server.stop();
  }
}

async function startServer(dataDir: string): Promise<EmbeddedPostgres> {
  const log = pino({ level: 'silent' });
  return EmbeddedPostgres.start({ dataDir, log, durable: true, maxConnections: MAX_CONNECTIONS });
}

function portOf(server: EmbeddedPostgres): number {
  return Number(new URL(server.url).port);
}
