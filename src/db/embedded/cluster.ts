import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, chown, link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { nameOfWorkingDirectory, serverEnvironment, type Account } from './server-account.js';
import type { Binaries } from './binaries.js';
import { CLUSTER_USER, belongsToAnotherUser, clusterPaths, isAlive } from './postmaster.js';

/**
 * Makes a cluster and its password when there is none yet, and returns the password. The cluster is made beside its place
 * and renamed when it is whole, so a crash leaves none rather than half of one, and of two processes at once one wins.
 */
export async function ensureCluster(
  dataDir: string,
  binaries: Binaries,
  account: Account | undefined,
  durable: boolean,
): Promise<string> {
  const paths = clusterPaths(dataDir);
  const exists = await isThere(join(paths.cluster, 'PG_VERSION'));
  if (exists && !(await isThere(paths.password))) {
    throw new Error(
      `${paths.password} is missing, so the data in ${paths.cluster} cannot be opened. Put the file back, or move that ` +
        'folder away to begin with an empty database.',
    );
  }
  const password = await ensurePassword(paths.password);
  if (exists) return password;
  await removeDrafts(dataDir);
  const draft = join(dataDir, `${DRAFT_PREFIX}${process.pid}-${randomBytes(4).toString('hex')}`);
  const cluster = join(draft, 'cluster');
  try {
    await mkdir(cluster, { recursive: true, mode: 0o700 });
    await writeFile(join(draft, 'password'), password, { mode: 0o600 });
    if (account) {
      for (const path of [draft, cluster, join(draft, 'password')])
        await chown(path, account.uid, account.gid);
    }
    await initialize(cluster, binaries, account, durable);
    await rename(cluster, paths.cluster);
  } catch (error) {
    const anotherProcessWasFaster = await isThere(join(paths.cluster, 'PG_VERSION'));
    if (!anotherProcessWasFaster) throw error;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return password;
}

const DRAFT_PREFIX = 'postgres-draft-';

async function initialize(
  cluster: string,
  binaries: Binaries,
  account: Account | undefined,
  durable: boolean,
): Promise<void> {
  const where = ['-D', nameOfWorkingDirectory(cluster, account), '--pwfile=../password', '-U', CLUSTER_USER];
  // The locale C needs nothing of the system; a slim container image has no other.
  const how = ['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-instructions'];
  const sync = durable ? [] : ['--no-sync'];
  try {
    await promisify(execFile)(binaries.initdb, [...where, ...how, ...sync], {
      ...account,
      cwd: cluster,
      env: serverEnvironment(),
    });
  } catch (cause) {
    const { stderr } = cause as { stderr?: string };
    throw new Error(
      `The embedded Postgres could not make its files in ${cluster}: ${stderr?.trim() || String(cause)}`,
      {
        cause,
      },
    );
  }
}

/** Written whole or not at all, and never over another one: two processes that start at once read the same password. */
async function ensurePassword(path: string): Promise<string> {
  if (!(await isThere(path))) {
    const draft = `${path}-${process.pid}-${randomBytes(4).toString('hex')}`;
    await writeFile(draft, randomBytes(24).toString('base64url'), { mode: 0o600, flush: true });
    await link(draft, path)
      .catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      })
      .finally(() => rm(draft));
  }
  const password = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EACCES' ? belongsToAnotherUser(path, error) : error;
  });
  return password.trim();
}

/** What processes left that ended while they made a cluster. Their ids are in the names; those that live are at work. */
async function removeDrafts(dataDir: string): Promise<void> {
  for (const name of await readdir(dataDir)) {
    const pid = name.startsWith(DRAFT_PREFIX) ? Number.parseInt(name.slice(DRAFT_PREFIX.length)) : undefined;
    if (pid !== undefined && (pid === process.pid || !isAlive(pid)))
      await rm(join(dataDir, name), { recursive: true, force: true });
  }
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
