/**
 * `npm run build`: compiles to `dist`, if something has changed since the last build. The result is made beside `dist` and takes
 * its place when it is complete, so programs that run from `dist` never see a part of it, and a failed build changes nothing.
 */
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { exitLike, runNode } from './child.mjs';
import { withLock } from './lock.mjs';
import { fingerprint, programOf, readStamp, ROOT } from './project.mjs';

const CONFIG = 'tsconfig.build.json';
const DIST = join(ROOT, 'dist');
const STAMP = '.made-from';
const STAGING_PREFIX = 'dist.';
/** A virus scanner or an indexer of Windows can hold a new file for seconds. */
const RENAME_TIMEOUT_MS = 10_000;
const RENAME_RETRY_MS = 100;

const isQuiet = process.argv.includes('--quiet-if-unchanged');

await withLock('build', async () => {
  const { include } = JSON.parse(readFileSync(join(ROOT, CONFIG), 'utf8'));
  const madeFrom = fingerprint([
    ...include,
    CONFIG,
    'tsconfig.json',
    'package-lock.json',
    'prisma/schema.prisma',
  ]);
  if (readStamp(join(DIST, STAMP)) === madeFrom) {
    if (!isQuiet) console.error('The build in dist is up to date.');
    return;
  }
  const startedAt = performance.now();
  console.error('Building Darkroom. This takes up to a minute, and is only needed after a change.');
  removeStagingFolders();
  await runStep('generating the database client', [join(ROOT, 'scripts', 'npm', 'generate-prisma.mjs')]);
  const staging = join(ROOT, `${STAGING_PREFIX}${process.pid}`);
  process.once('exit', () => rmSync(staging, { recursive: true, force: true }));
  // With the state of the last build, the compiler writes only what has changed.
  if (existsSync(DIST)) cpSync(DIST, staging, { recursive: true });
  const output = ['--outDir', staging, '--tsBuildInfoFile', join(staging, '.tsbuildinfo')];
  await runStep('compiling', [programOf('typescript', 'bin/tsc'), '-p', CONFIG, ...output]);
  writeFileSync(join(staging, STAMP), madeFrom);
  await replaceDist(staging);
  console.error(`Built in ${Math.round((performance.now() - startedAt) / 1000)} s.`);
});

async function runStep(what, args) {
  console.error(`  ${what}`);
  const outcome = await runNode(args);
  if (outcome.code !== 0) exitLike(outcome);
}

async function replaceDist(staging) {
  const replaced = join(ROOT, `${STAGING_PREFIX}${process.pid}-replaced`);
  if (existsSync(DIST)) await renamePatiently(DIST, replaced);
  await renamePatiently(staging, DIST);
  rmSync(replaced, { recursive: true, force: true });
}

async function renamePatiently(from, to) {
  for (const startedAt = performance.now(); ; await delay(RENAME_RETRY_MS)) {
    try {
      return renameSync(from, to);
    } catch (error) {
      const isInUse = ['EPERM', 'EACCES', 'EBUSY'].includes(error.code);
      if (!isInUse || performance.now() - startedAt > RENAME_TIMEOUT_MS) throw error;
    }
  }
}

/** Removes what a killed build left. The lock says that no other build runs. */
function removeStagingFolders() {
  for (const name of readdirSync(ROOT).filter((each) => each.startsWith(STAGING_PREFIX)))
    rmSync(join(ROOT, name), { recursive: true, force: true });
}
