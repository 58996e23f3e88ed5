import { execFile } from 'node:child_process';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client, DatabaseError } from 'pg';
import type { Logger } from 'pino';

/** The superuser of the cluster, and the database that Darkroom uses in it. */
export const CLUSTER_USER = 'darkroom';
export const CLUSTER_DATABASE = 'darkroom';

/** The owner of a server holds this advisory lock in the database "postgres": the bytes of "dark". */
const OWNER_LOCK = 0x6461726b;
/** A server this young may just not have been claimed by the process that started it. */
const UNCLAIMED_GRACE_SECONDS = 2;
/** Crash recovery after a power cut replays up to max_wal_size, 1 GB: some seconds on a slow disk, with a margin. */
const PREDECESSOR_PATIENCE_MS = 60_000;
/** A fast shutdown writes one checkpoint; past this the server is told to stop without it. */
export const FAST_SHUTDOWN_MS = 10_000;

/** Where things lie in a DATA_DIR. */
export function clusterPaths(dataDir: string): { cluster: string; password: string; postmaster: string } {
  const cluster = join(dataDir, 'postgres');
  return {
    cluster,
    password: join(dataDir, 'postgres-password'),
    postmaster: join(cluster, 'postmaster.pid'),
  };
}

/** Where a database of the embedded server is reached. */
export function clusterUrl(port: number, password: string, database: string): string {
  return `postgresql://${CLUSTER_USER}:${password}@127.0.0.1:${port}/${database}`;
}

/** Makes the caller the owner for as long as `client` is connected; false when another process is. */
export async function claim(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ claimed: boolean }>('select pg_try_advisory_lock($1) as claimed', [
    OWNER_LOCK,
  ]);
  return rows[0]?.claimed === true;
}

/**
 * Returns when no server has the cluster of `dataDir` open. One whose owner died without stopping it (SIGKILL) is stopped
 * first. Fails when its owner lives: then another Darkroom uses this DATA_DIR.
 */
export async function clearPredecessor(dataDir: string, password: string, log: Logger): Promise<void> {
  const deadline = Date.now() + PREDECESSOR_PATIENCE_MS;
  let toldAt: number | undefined;
  for (;;) {
    const server = await findPostmaster(dataDir);
    if (!server) return;
    if (toldAt !== undefined) {
      if (Date.now() - toldAt > FAST_SHUTDOWN_MS) signal(server.pid, 'SIGQUIT');
    } else if (await isOrphan(server, dataDir, password)) {
      log.info(
        { postgresPid: server.pid, port: server.port },
        'stopping the Postgres that a killed process left',
      );
      signal(server.pid, 'SIGINT');
      toldAt = Date.now();
    }
    if (Date.now() > deadline) {
      throw new Error(
        `The Postgres with process id ${server.pid} has ${dataDir} open, and neither answers nor ends. Stop it, or set ` +
          'another DATA_DIR or DATABASE_URL.',
      );
    }
    await pause(50);
  }
}

/** False also when it cannot be told yet: the server is young, starts, or stops. Fails when it has an owner. */
async function isOrphan(server: Postmaster, dataDir: string, password: string): Promise<boolean> {
  const client = new Client({ connectionString: clusterUrl(server.port, password, 'postgres') });
  client.on('error', () => undefined); // it may stop while we ask
  try {
    await client.connect();
    const { rows } = await client.query<{ owned: boolean; young: boolean }>(
      `select exists (select from pg_locks where locktype = 'advisory' and classid = 0 and objid = $1
                      and database = (select oid from pg_database where datname = current_database())) as owned,
              now() - pg_postmaster_start_time() < make_interval(secs => $2) as young`,
      [OWNER_LOCK, UNCLAIMED_GRACE_SECONDS],
    );
    if (rows[0]?.owned) {
      throw new Error(
        `Another Darkroom uses the data folder ${dataDir}; its Postgres is at port ${server.port}. Stop it, or set another ` +
          'DATA_DIR or DATABASE_URL.',
      );
    }
    return rows[0]?.young === false && (await claim(client));
  } catch (error) {
    if (isPassing(error)) return false;
    throw error;
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** The server is starting or stopping. 57P0x: operator intervention; 08xxx: the connection broke. */
function isPassing(error: unknown): boolean {
  if (error instanceof DatabaseError) return /^(57P0|08)/.test(error.code ?? '');
  const { code, message } = error as NodeJS.ErrnoException;
  return (
    code === 'ECONNREFUSED' || code === 'ECONNRESET' || code === 'EPIPE' || message.includes('terminated')
  );
}

/** A running server, as its postmaster.pid tells. */
interface Postmaster {
  pid: number;
  port: number;
}

/**
 * The server that has this cluster open, or undefined when none has. A postmaster.pid whose process id is used by some
 * other program now (after a restart of a container it usually is) is removed: Postgres itself would refuse to start.
 */
async function findPostmaster(dataDir: string): Promise<Postmaster | undefined> {
  const paths = clusterPaths(dataDir);
  const text = await readFile(paths.postmaster, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw belongsToAnotherUser(paths.cluster, error);
  });
  if (text === undefined) return undefined;
  // Lines: process id, data directory, start time, port, and more. Postgres: src/include/utils/pidfile.h.
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  if (pid > 0 && !isAlive(pid)) return undefined; // Postgres removes this one itself
  if (pid > 0 && (await isPostmasterOf(pid, paths.cluster))) return { pid, port: Number(lines[3]) };
  await rm(paths.postmaster, { force: true });
  return undefined;
}

/** A postmaster works in its cluster's folder. Linux tells that, and not of a process that ended but was not waited for. */
async function isPostmasterOf(pid: number, cluster: string): Promise<boolean> {
  if (process.platform === 'linux') {
    const [cwd, folder] = await Promise.all([stat(`/proc/${pid}/cwd`).catch(() => undefined), stat(cluster)]);
    return cwd !== undefined && cwd.ino === folder.ino && cwd.dev === folder.dev;
  }
  if (process.platform === 'win32') return true;
  const { stdout } = await promisify(execFile)('ps', ['-p', String(pid), '-o', 'comm=']).catch(() => ({
    stdout: '',
  }));
  return stdout.includes('postgres');
}

/** What to say when the files of a cluster cannot be read. */
export function belongsToAnotherUser(path: string, cause: unknown): Error {
  return new Error(`${path} belongs to another user. Start Darkroom as that user, or set another DATA_DIR.`, {
    cause,
  });
}

/** Whether there is a process with this id, whoever's it is. */
export function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
