import { readFile, stat } from 'node:fs/promises';

/** The account that PostgreSQL runs as, for child_process. */
export interface OsAccount {
  uid: number;
  gid: number;
}

/**
 * PostgreSQL refuses to run as root. Root therefore uses the account that owns the cluster, or else "postgres", or else "nobody".
 * Undefined for every other user, who runs it under their own account. Fails when root has no such account.
 */
export async function choosePostgresAccount(clusterDir: string): Promise<OsAccount | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const owner = await stat(clusterDir).catch(() => undefined);
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  // eslint-disable-next-line portable/syntax -- only root gets here, and the error says so where there is no such file
  const accounts = (await readFile('/etc/passwd', 'utf8').catch(() => ''))
    .split('\n')
    .map((line) => line.split(':'));
  for (const accountName of ['postgres', 'nobody']) {
    const [, , uid, gid] = accounts.find(([name]) => name === accountName) ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error(
    'PostgreSQL does not run as root, and /etc/passwd has neither "postgres" nor "nobody" to run it as. ' +
      'Start Darkroom as another user, or set DATABASE_URL to your own PostgreSQL.',
  );
}

/**
 * The path by which a program with the working directory `dir` names that directory. Under another account it may not be
 * allowed to traverse the parent folders (a home directory, `mktemp -d`). Node changes the directory before the user, and
 * Linux resolves this link without traversing. So no folder needs other permissions, and PostgreSQL needs no capabilities.
 */
export function workingDirectoryPath(dir: string, account: OsAccount | undefined): string {
  // eslint-disable-next-line portable/syntax -- only on Linux
  return account && process.platform === 'linux' ? '/proc/self/cwd' : dir;
}

/** What programs need to start other programs. All but the first are of Windows. */
const INHERITED_VARIABLES = ['PATH', 'SystemRoot', 'SystemDrive', 'ComSpec', 'TEMP', 'TMP'];

/** Little of our environment: no PGDATA, no PGOPTIONS. Messages are in English, because some are compared, and times in UTC. */
export function postgresEnvironment(): NodeJS.ProcessEnv {
  // eslint-disable-next-line no-restricted-properties -- not configuration: initdb starts a shell, which needs them
  const inherited = INHERITED_VARIABLES.map((name) => [name, process.env[name]] as const);
  return { ...Object.fromEntries(inherited), LC_ALL: 'C', TZ: 'UTC' };
}
