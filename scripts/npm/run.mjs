/**
 * `node scripts/npm/run.mjs <program> [arguments]`: builds what has changed and runs a program of `dist` until it ends. For the
 * scripts of package.json, which must mean the same to every shell: a program, and arguments without quotes.
 */
import { join } from 'node:path';
import { exitLike, runNode } from './child.mjs';
import { ROOT } from './project.mjs';

const SERVICE = 'src/main.js';
/** For glibc (docs/OPERATIONS.md, "Memory"), which reads them at the start of a process. Others ignore them. */
const MEMORY = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '1048576' };
/** `MIN_THREADS` in src/config/thread-pool.ts. With less, the service would start itself once more. */
const THREADS = { UV_THREADPOOL_SIZE: '16' };
const SERVICE_ENVIRONMENT = { ...MEMORY, ...THREADS, ...process.env };

const [program = '', ...args] = process.argv.slice(2);
const build = await runNode([join(ROOT, 'scripts', 'npm', 'build.mjs'), '--quiet-if-unchanged']);
if (build.code !== 0) exitLike(build);
const file = join(ROOT, 'dist', ...program.split('/'));
const options =
  program === SERVICE
    ? // Over the channel, the service notices when this process is killed.
      { env: SERVICE_ENVIRONMENT, stdio: ['inherit', 'inherit', 'inherit', 'ipc'] }
    : {};
exitLike(await runNode([file, ...args], options));
