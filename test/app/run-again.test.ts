import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { PRODUCTION_ENVIRONMENT } from '../../bench/support/production-environment.js';
import { environmentWithThreads, MIN_THREADS } from '../../src/config/thread-pool.js';
import { createTestDatabase, type TestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

/** Lets the process that was started once more begin only when the one that started it is gone. */
const WAIT_FOR_ORPHANHOOD = `data:text/javascript,${encodeURIComponent(`
  if (process.send) {
    const wait = setInterval(() => {}, 1_000);
    console.log('waiting for the end of', process.ppid);
    if (process.connected) await new Promise((resolve) => process.once('disconnect', resolve));
    clearInterval(wait);
  }
`)}`;
/** Printed by each process that runs the program. */
const PRINT_THREADS = 'data:text/javascript,console.log("threads",process.env.UV_THREADPOOL_SIZE)';

let database: TestDatabase;
let dataDir: string;
beforeEach(async () => {
  database = await createTestDatabase();
  dataDir = await mkdtemp(join(tmpdir(), 'darkroom-threads-'));
});
afterEach(async () => {
  await database.drop();
  await rm(dataDir, { recursive: true, force: true });
});

/** Starts the service without a launcher, and waits for `text`. `closed` resolves when no process of it is left. */
async function startService(
  environment: Record<string, string> = {},
  { text: awaited = 'Darkroom is listening', modules = [] as string[] } = {},
) {
  const imports = [PRINT_THREADS, ...modules, './test/support/setup/typescript.mjs'].flatMap((module) => [
    '--import',
    module,
  ]);
  const child: ChildProcess = spawn(process.execPath, [...imports, 'src/main.ts'], {
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: database.url,
      DATA_DIR: dataDir,
      PORT: '0',
      LOG_LEVEL: 'silent',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout?.on('data', (chunk) => (output += String(chunk)));
  const closed = child.stdout ? text(child.stdout) : Promise.resolve('');
  await waitFor('the start', () => output.includes(awaited), { timeoutMs: 60_000 });
  return { child, closed, output };
}

test('a service that is started without a launcher gets enough threads, and ends like one process', async () => {
  const { child, output } = await startService();
  expect(output.match(/threads \w+/g)).toEqual(['threads undefined', `threads ${MIN_THREADS}`]);
  child.kill('SIGTERM');
  expect(await once(child, 'close')).toEqual([0, null]);
}, 90_000);

test('no process is left when it is killed', async () => {
  const { child, closed } = await startService();
  child.kill('SIGKILL');
  await closed;
}, 90_000);

test('no process is left when it is killed before the service has begun', async () => {
  const { child, closed } = await startService(
    {},
    { text: 'waiting for the end', modules: [WAIT_FOR_ORPHANHOOD] },
  );
  child.kill('SIGKILL');
  await closed;
}, 90_000);

test('a service that has enough threads is one process', async () => {
  const { child, output } = await startService({ UV_THREADPOOL_SIZE: '64' });
  expect(output.match(/threads \w+/g)).toEqual(['threads 64']);
  child.kill('SIGTERM');
  expect(await once(child, 'close')).toEqual([0, null]);
}, 90_000);

test.each(['scripts/npm/run.mjs', 'Dockerfile', 'scripts/demo.ts'])(
  '%s starts it with enough threads at once',
  async (file) => {
    expect(/UV_THREADPOOL_SIZE(?:=|: ')(\d+)/.exec(await readFile(file, 'utf8'))?.[1]).toBe(`${MIN_THREADS}`);
  },
);

test('the benchmarks start it with enough threads, and with the memory settings of npm start', async () => {
  const runner = await readFile('scripts/npm/run.mjs', 'utf8');
  for (const [name, value] of Object.entries(PRODUCTION_ENVIRONMENT))
    expect(runner).toContain(`${name}: '${value}'`);
});

test.each([
  [{}, '16'],
  [{ UV_THREADPOOL_SIZE: '4', PATH: '/bin' }, '16'],
  [{ UV_THREADPOOL_SIZE: 'many' }, '16'],
])('the environment %j gets %s threads', (environment, threads) => {
  expect(environmentWithThreads(environment)).toEqual({ ...environment, UV_THREADPOOL_SIZE: threads });
});
