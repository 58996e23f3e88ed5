import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import type { Logger } from 'pino';
import { type ProcessControl } from './process-control.js';

/** The superuser of the cluster, and the database that Darkroom uses in it. */
export const CLUSTER_USER = 'darkroom';
export const CLUSTER_DATABASE = 'darkroom';

/** Key of the advisory lock that the owner of a server holds in the database "postgres": the bytes of "dark". */
const OWNER_LOCK_KEY = 0x6461726b;
/** A younger server may not have been claimed yet by the process that started it. */
const UNOWNED_GRACE_SECONDS = 2;
/** Crash recovery after a power failure replays up to max_wal_size, 1 GB: some seconds on a slow disk, plus a margin. */
const ORPHAN_STOP_TIMEOUT_MS = 60_000;
/** A fast shutdown writes one checkpoint. After this time the server is stopped without it. */
export const FAST_SHUTDOWN_TIMEOUT_MS = 10_000;

/** The paths in a DATA_DIR. */
export function clusterPaths(dataDir: string): { cluster: string; password: string; postmaster: string } {
  const cluster = join(dataDir, 'postgres');
  return {
    cluster,
    password: join(dataDir, 'postgres-password'),
    postmaster: join(cluster, 'postmaster.pid'),
  };
}

/** URL of a database of the embedded server. */
export function clusterUrl(port: number, password: string, database: string): string {
  return `postgresql://${CLUSTER_USER}:${password}@127.0.0.1:${port}/${database}`;
}

/** Makes the caller the owner for as long as `client` is connected. False when another process is the owner. */
export async function tryBecomeOwner(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ claimed: boolean }>(
    `select pg_try_advisory_lock(${OWNER_LOCK_KEY}) as claimed`,
  );
  return rows[0]?.claimed === true;
}

interface OrphanOptions {
  dataDir: string;
  password: string;
  processes: ProcessControl;
  log: Logger;
}

/**
 * Returns when no server has the cluster of `dataDir` open. First stops a server whose owner died without stopping it
 * (SIGKILL). Fails when the owner is alive, because then another Darkroom uses this DATA_DIR.
 */
export async function stopOrphanedServer({
  dataDir,
  password,
  processes,
  log,
}: OrphanOptions): Promise<void> {
  const deadline = performance.now() + ORPHAN_STOP_TIMEOUT_MS;
  let stopRequestedAt: number | undefined;
  for (;;) {
    const server = await findPostmaster(dataDir, processes);
    if (!server) return;
    if (stopRequestedAt !== undefined) {
      if (performance.now() - stopRequestedAt > FAST_SHUTDOWN_TIMEOUT_MS)
        await processes.signal(server.pid, 'SIGQUIT');
    } else if (await isOrphan(server, dataDir, password)) {
      log.info(
        { postgresPid: server.pid, port: server.port },
        'stopping the Postgres that a killed process left',
      );
      await processes.signal(server.pid, 'SIGINT');
      stopRequestedAt = performance.now();
    }
    if (performance.now() > deadline) {
      throw new Error(
        `The PostgreSQL with process ID ${server.pid} has ${dataDir} open. It neither responds nor ends. Stop it, or set ` +
          'another DATA_DIR or DATABASE_URL.',
      );
    }
    await delay(50);
  }
}

/** False also when it is not known yet, because the server is young, starting or stopping. Fails when it has an owner. */
async function isOrphan(server: RunningServer, dataDir: string, password: string): Promise<boolean> {
  const client = new Client({ connectionString: clusterUrl(server.port, password, 'postgres') });
  client.on('error', () => undefined); // it may stop while we ask
  try {
    await client.connect();
    const { rows } = await client.query<{ owned: boolean; young: boolean }>(
      `select exists (select from pg_locks where locktype = 'advisory' and classid = 0 and objid = ${OWNER_LOCK_KEY}
                      and database = (select oid from pg_database where datname = current_database())) as owned,
              now() - pg_postmaster_start_time() < make_interval(secs => ${UNOWNED_GRACE_SECONDS}) as young`,
    );
    if (rows[0]?.owned) {
      throw new Error(
        `Another Darkroom uses the data folder ${dataDir}; its PostgreSQL is on port ${server.port}. Stop it, or set another ` +
          'DATA_DIR or DATABASE_URL.',
      );
    }
    return rows[0]?.young === false && (await tryBecomeOwner(client));
  } catch (error) {
    if (isTransient(error)) return false;
    throw error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** The server is starting or stopping. 57P0x: operator intervention; 08xxx: the connection broke. */
function isTransient(error: unknown): boolean {
  if (error instanceof DatabaseError) return /^(57P0|08)/.test(error.code ?? '');
  const { code, message } = error as NodeJS.ErrnoException;
  return (
    code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'EPIPE' || message.includes('terminated')
  );
}

/** A running server, as described in its postmaster.pid. */
interface RunningServer {
  pid: number;
  port: number;
}

/**
 * The server that has this cluster open, or undefined. Removes a postmaster.pid whose process ID now belongs to another
 * program, as after a restart of a container. Otherwise PostgreSQL would refuse to start.
 */
async function findPostmaster(
  dataDir: string,
  processes: ProcessControl,
): Promise<RunningServer | undefined> {
  const paths = clusterPaths(dataDir);
  const text = await readFile(paths.postmaster, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw wrongOwnerError(paths.cluster, error);
  });
  if (text === undefined) return undefined;
  // Lines: process ID, data directory, start time, port, and more. Postgres: src/include/utils/pidfile.h.
  const lines = text.split(/\r?\n/);
  const pid = Number(lines[0]);
  if (pid > 0 && !isProcessAlive(pid)) return undefined; // Postgres removes this one itself
  if (pid > 0 && (await processes.isPostmasterOf(pid, paths.cluster))) return { pid, port: Number(lines[3]) };
  await rm(paths.postmaster, { force: true });
  return undefined;
}

/** The error for files of a cluster that cannot be read. */
export function wrongOwnerError(path: string, cause: unknown): Error {
  return new Error(`${path} belongs to another user. Start Darkroom as that user, or set another DATA_DIR.`, {
    cause,
  });
}

/** Whether a process with this ID exists, whoever owns it. */
export function isProcessAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
