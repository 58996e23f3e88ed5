import { readFile, stat } from 'node:fs/promises';

/** Whom Postgres runs as, in the shape that child_process takes. */
export interface Account {
  uid: number;
  gid: number;
}

/**
 * Postgres refuses to run as root. So as root: the account that owns the cluster already, else "postgres", else "nobody".
 * Undefined, which means ourselves, for everybody else. Fails when root has no other account to give.
 */
export async function chooseAccount(clusterDir: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(clusterDir).catch(() => undefined);
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const accounts = (await readFile('/etc/passwd', 'utf8').catch(() => ''))
    .split('\n')
    .map((line) => line.split(':'));
  for (const wanted of ['postgres', 'nobody']) {
    const [, , uid, gid] = accounts.find(([name]) => name === wanted) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(
    'Postgres does not run as root, and /etc/passwd has neither "postgres" nor "nobody" to run it as. ' +
      'Start Darkroom as another user, or set DATABASE_URL to a Postgres of yours.',
  );
}

/**
 * How a program that runs with its working directory at `dir` names that directory. Run as another account it may have no
 * right to walk the folders above (a home directory, `mktemp -d`). Node changes directory before it changes the user, and
 * Linux resolves this link without walking. So nobody's folders need other permissions, and Postgres no capabilities.
 */
export function nameOfWorkingDirectory(dir: string, account: Account | undefined): string {
  return account && process.platform === 'linux' ? '/proc/self/cwd' : dir;
}

/** Nothing of ours but the PATH: no PGDATA, no PGOPTIONS, English messages (some are compared), UTC. */
export function serverEnvironment(): NodeJS.ProcessEnv {
  // eslint-disable-next-line no-restricted-properties -- not configuration: initdb starts /bin/sh, which needs it
  return { PATH: process.env['PATH'], SystemRoot: process.env['SystemRoot'], LC_ALL: 'C', TZ: 'UTC' };
}
