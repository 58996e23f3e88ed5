import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chown, link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { workingDirectoryPath, postgresEnvironment, type OsAccount } from './server-account.js';
import type { PostgresBinaries } from './binaries.js';
import { CLUSTER_USER, wrongOwnerError, clusterPaths, isProcessAlive } from './postmaster.js';

interface ClusterOptions {
  dataDir: string;
  binaries: PostgresBinaries;
  account: OsAccount | undefined;
  /** False: initdb does not wait for the disk. */
  durable: boolean;
}

/**
 * Creates a cluster and its password if they do not exist, and returns the password. The cluster is created in a staging
 * folder and renamed when it is complete. So a crash leaves no partial cluster, and one of two concurrent processes wins.
 */
export async function ensureCluster(options: ClusterOptions): Promise<string> {
  const { dataDir, account } = options;
  const paths = clusterPaths(dataDir);
  const hasCluster = existsSync(join(paths.cluster, 'PG_VERSION'));
  if (hasCluster && !existsSync(paths.password)) {
    throw new Error(
      `${paths.password} is missing, so the data in ${paths.cluster} cannot be opened. Put the file back, or move that ` +
        'folder away to begin with an empty database.',
    );
  }
  await removeDrafts(dataDir);
  const password = await ensurePassword(paths.password);
  if (hasCluster) return password;
  const stagingDir = join(dataDir, `${STAGING_PREFIX}${process.pid}-${randomBytes(4).toString('hex')}`);
  const cluster = join(stagingDir, 'cluster');
  try {
    await mkdir(cluster, { recursive: true, mode: 0o700 });
    await writeFile(join(stagingDir, 'password'), password, { mode: 0o600 });
    if (account) {
      for (const path of [stagingDir, cluster, join(stagingDir, 'password')])
        await chown(path, account.uid, account.gid);
    }
    await runInitdb(cluster, options);
    await rename(cluster, paths.cluster);
  } catch (error) {
    const lostRace = existsSync(join(paths.cluster, 'PG_VERSION'));
    if (!lostRace) throw error;
  } finally {
    await rm(stagingDir, { recursive: true, force: true });
  }
  return password;
}

const STAGING_PREFIX = 'postgres-draft-';

async function runInitdb(cluster: string, { binaries, account, durable }: ClusterOptions): Promise<void> {
  const locationArgs = [
    '-D',
    workingDirectoryPath(cluster, account),
    '--pwfile=../password',
    '-U',
    CLUSTER_USER,
  ];
  // The locale C needs no files of the system. A slim container image has no other locale.
  const formatArgs = ['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-instructions'];
  const syncArgs = durable ? [] : ['--no-sync'];
  try {
    await promisify(execFile)(binaries.initdb, [...locationArgs, ...formatArgs, ...syncArgs], {
      ...account,
      cwd: cluster,
      env: postgresEnvironment(),
    });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    throw new Error(
      `The embedded PostgreSQL could not create its files in ${cluster}. Correct the cause, or set DATABASE_URL to your own ` +
        `PostgreSQL. Cause: ${stderr?.trim() || String(cause)}`,
      { cause },
    );
  }
}

/** Writes the whole file or nothing, and never replaces one: two processes that start at once read the same password. */
async function ensurePassword(path: string): Promise<string> {
  if (!existsSync(path)) {
    const temporaryPath = `${path}-${process.pid}-${randomBytes(4).toString('hex')}`;
    await writeFile(temporaryPath, randomBytes(24).toString('base64url'), { mode: 0o600, flush: true });
    await link(temporaryPath, path)
      .catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      })
      .finally(() => rm(temporaryPath));
  }
  const password = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EACCES' ? wrongOwnerError(path, error) : error;
  });
  return password.trim();
}

/** What processes write before it is complete. The names contain the process ID. */
const DRAFT_NAMES = [/^postgres-draft-(\d+)-[0-9a-f]{8}$/, /^postgres-password-(\d+)-[0-9a-f]{8}$/];

/** Removes what processes left that ended before it was complete. A backup that an operator named like the password file stays. */
async function removeDrafts(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    const pid = Number(DRAFT_NAMES.map((pattern) => pattern.exec(name)?.[1]).find(Boolean) ?? 0);
    if (pid > 0 && (pid === process.pid || !isProcessAlive(pid)))
      await rm(join(dataDir, name), { recursive: true, force: true });
  }
}
