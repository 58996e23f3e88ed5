import { setTimeout as pause } from 'node:timers/promises';
import { Client, type QueryResultRow } from 'pg';
import { pino } from 'pino';
import { EmbeddedPostgres } from '../../src/db/embedded/embedded-postgres.js';
import { TcpProxy } from './tcp-proxy.js';

/** Three instances with a pool of 20 and a listener each, twice over: those of a killed one may linger. */
const MAX_CONNECTIONS = 150;
const QUERY_AGAIN_MS = 100;
const QUERY_ATTEMPTS = 300;

/**
 * A Postgres that waits for its disk, so that stopping it at once costs nothing that it has promised. Instances reach it
 * through a proxy, because it comes back on another port; the harness reads from it directly.
 */
export class Postgres {
  private isStopping = false;
  private restarting: Promise<void> = Promise.resolve();

  private constructor(
    private readonly dataDir: string,
    private server: EmbeddedPostgres,
    /** Where the proxy leads. */
    private readonly target: { port: number },
    readonly proxy: TcpProxy,
  ) {}

  static async start(dataDir: string): Promise<Postgres> {
    const server = await startServer(dataDir);
    try {
      const target = { port: portOf(server) };
      const proxy = await TcpProxy.open({ targets: () => [target.port] });
      return new Postgres(dataDir, server, target, proxy);
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  /** For the instances: the same address for as long as this lives. */
  get url(): string {
    const url = new URL(this.server.url);
    url.port = String(this.proxy.port);
    return url.href;
  }

  /** An immediate stop, which is a crash as far as the data is concerned. Its connections break. */
  async crash(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.server.onExit(resolve));
    process.kill(this.server.pid, 'SIGQUIT');
    await gone;
  }

  /** Starts it again after a crash, on another port; it replays its log first. */
  async restart(): Promise<void> {
    if (this.isStopping) return;
    this.restarting = startServer(this.dataDir).then((server) => {
      this.server = server;
      this.target.port = portOf(server);
    });
    await this.restarting;
  }

  /** Ends every connection of the instances. Resolves with how many there were. */
  async terminateConnections(): Promise<number> {
    const rows = await this.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'chaos'`,
    );
    return rows.length;
  }

  /** The rows, read on a connection of its own; asked again for half a minute while Postgres is away. */
  async query<Row extends QueryResultRow>(text: string): Promise<Row[]> {
    for (let attempt = 1; ; attempt += 1) {
      const client = new Client({ connectionString: this.server.url, application_name: 'chaos' });
      client.on('error', () => undefined); // the query rejects
      try {
        await client.connect();
        return (await client.query<Row>(text)).rows;
      } catch (error) {
        if (attempt === QUERY_ATTEMPTS) throw error;
        await pause(QUERY_AGAIN_MS);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.proxy.cut();
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
