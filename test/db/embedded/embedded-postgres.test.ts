import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { pino } from 'pino';
import { EmbeddedPostgres } from '../../../src/db/embedded/embedded-postgres.js';
import { waitFor } from '../../support/wait-for.js';

const log = pino({ level: 'silent' });
const isRoot = process.getuid?.() === 0;

let dataDir: string;
let started: Set<EmbeddedPostgres>;
let owners: Set<ChildProcess>;
let serverPids: Set<number>;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'darkroom-embedded-'));
  [started, owners, serverPids] = [new Set(), new Set(), new Set()];
});
afterEach(async () => {
  for (const postgres of started) await postgres.stop();
  for (const owner of owners) owner.kill('SIGKILL');
  // Kills what a failed test left behind.
  for (const pid of serverPids) if (await isServer(pid)) process.kill(pid, 'SIGQUIT');
  for (const pid of serverPids) await waitFor('Postgres to end', async () => !(await isServer(pid)));
  await rm(dataDir, { recursive: true });
});

async function start(): Promise<EmbeddedPostgres> {
  const postgres = await EmbeddedPostgres.start({ dataDir, log, durable: false });
  started.add(postgres);
  serverPids.add(postgres.pid);
  return postgres;
}

/** Whether this process has our cluster open. A process ID alone can belong to another program by now. */
async function isServer(pid: number): Promise<boolean> {
  const found = await readFile(join(dataDir, 'postgres/postmaster.pid'), 'utf8').catch(() => '');
  return found.startsWith(`${pid}\n`) && isAlive(pid);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(sql).finally(() => client.end());
  return rows as unknown[];
}

/** Another process that starts PostgreSQL in `dataDir`, leads its own process group, and then waits. */
function spawnOwner(): ChildProcess & { stdout: NodeJS.ReadableStream; stderr: NodeJS.ReadableStream } {
  const program = `
    import { pino } from 'pino';
    import { EmbeddedPostgres } from './src/db/embedded/embedded-postgres.ts';
    const log = pino({ level: 'silent' });
    const { url, pid } = await EmbeddedPostgres.start({ dataDir: ${JSON.stringify(dataDir)}, log, durable: false });
    console.log(JSON.stringify({ url, pid }));`;
  const owner = spawn(
    process.execPath,
    ['--import', './test/support/setup/typescript.mjs', '--input-type=module', '--eval', program],
    { detached: true, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_OPTIONS: '' } },
  );
  owners.add(owner);
  return owner;
}

/** Fails with the error output of the process when it ends instead. */
async function whenReady(owner: ReturnType<typeof spawnOwner>): Promise<{ url: string; pid: number }> {
  const complaint = text(owner.stderr);
  const ended = once(owner, 'exit').then(async () => Promise.reject(new Error(await complaint)));
  const [line] = (await Promise.race([once(createInterface(owner.stdout), 'line'), ended])) as [string];
  ended.catch(() => undefined);
  const server = JSON.parse(line) as { url: string; pid: number };
  serverPids.add(server.pid);
  return server;
}

test('keeps its data from one start to the next, and ends at each stop', async () => {
  const first = await start();
  await query(first.url, 'create table kept as select 42 as answer');
  await Promise.all([first.stop(), first.stop()]);
  expect(isAlive(first.pid)).toBe(false);

  const second = await start();
  expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
});

test('listens only on the local interface, requires the password, and uses UTF-8', async () => {
  const postgres = await start();
  expect(
    await query(
      postgres.url,
      `select current_setting('listen_addresses') as addresses, current_setting('unix_socket_directories') as sockets,
              current_setting('server_encoding') as encoding, current_setting('password_encryption') as passwords`,
    ),
  ).toEqual([{ addresses: '127.0.0.1', sockets: '', encoding: 'UTF8', passwords: 'scram-sha-256' }]);
  await expect(query(postgres.url.replace(/:[^:@]+@/, ':wrong@'), 'select')).rejects.toThrow(
    'password authentication',
  );
  const { mode } = await stat(join(dataDir, 'postgres-password'));
  expect(mode & 0o777).toBe(0o600);
});

test('survives the signals that end its owner, and is replaced by the next start with its data', async () => {
  const owner = spawnOwner();
  const orphan = await whenReady(owner);
  await query(orphan.url, 'create table kept as select 42 as answer');
  process.kill(-owner.pid!, 'SIGKILL'); // the whole group, as Ctrl-C signals it
  await once(owner, 'exit');
  expect(await query(orphan.url, 'select 1 as alive')).toEqual([{ alive: 1 }]);

  const postgres = await start();
  expect(await query(postgres.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
  expect(postgres.pid).not.toBe(orphan.pid);
  expect(await isServer(orphan.pid)).toBe(false);
});

test('rejects a folder that another process uses, names the port, and does not disturb that process', async () => {
  const { url } = await whenReady(spawnOwner());
  await expect(start()).rejects.toThrow(
    new RegExp(`Another Darkroom uses .* port ${new URL(url).port}\\b.*DATA_DIR or DATABASE_URL`),
  );
  expect(await query(url, 'select 1 as alive')).toEqual([{ alive: 1 }]);
});

test('lets one of two processes win that start in an empty folder at once', async () => {
  const outcomes = await Promise.allSettled([whenReady(spawnOwner()), whenReady(spawnOwner())]);
  const winners = outcomes.filter((outcome) => outcome.status === 'fulfilled');
  const losers = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(losers.map(({ reason }) => String(reason))).toEqual([expect.stringContaining('Another Darkroom')]);
  expect(await query(winners[0]?.value.url ?? '', 'select 1 as alive')).toEqual([{ alive: 1 }]);
});

test.each([
  ['a process that is gone', '2147483646'],
  ['a process of another program', String(process.pid)],
  ['nothing, as after a power cut', ''],
])('starts over a postmaster.pid that names %s', async (_what, pid) => {
  await (await start()).stop();
  const lines = pid && [pid, '/proc/self/cwd', '1700000000', '1', '', '127.0.0.1', '0 0', 'ready'].join('\n');
  const pidFile = join(dataDir, 'postgres/postmaster.pid');
  await writeFile(pidFile, lines);
  // As Postgres would have left it, whatever the umask of whoever runs the tests.
  const { uid, gid } = await stat(join(dataDir, 'postgres'));
  await chown(pidFile, uid, gid);
  const postgres = await start();
  expect(await query(postgres.url, 'select 1 as alive')).toEqual([{ alive: 1 }]);
});

test('reports when PostgreSQL ends by itself, and starts again over the files that it left', async () => {
  const postgres = await start();
  const exited = new Promise<void>((done) => postgres.onExit(done));
  process.kill(postgres.pid, 'SIGKILL');
  await exited;
  await postgres.stop();
  const next = await start();
  expect(await query(next.url, 'select 1 as alive')).toEqual([{ alive: 1 }]);
});

test('claims its server again after PostgreSQL has dropped every connection', async () => {
  const postgres = await start();
  const adminUrl = postgres.url.replace(/darkroom$/, 'postgres');
  const owner = `select pid from pg_locks where locktype = 'advisory' and granted`;
  const before = await query(adminUrl, owner);
  expect(before).toHaveLength(1);
  await query(adminUrl, `select pg_terminate_backend(pid) from (${owner}) as owner`);
  const after = await waitFor('a new claim', async () => {
    const now = await query(adminUrl, owner);
    return now.length === 1 && JSON.stringify(now) !== JSON.stringify(before) && now;
  });
  expect(after).toHaveLength(1);
});

test('starts after a first start that was killed halfway, and removes its files', async () => {
  const draft = join(dataDir, 'postgres-draft-2147483646-ab12cd34');
  await mkdir(join(draft, 'cluster'), { recursive: true });
  await writeFile(join(draft, 'cluster', 'postgresql.conf'), 'half of it');
  await writeFile(join(dataDir, 'postgres-password-2147483646-ab12cd34'), 'half of it');
  // A backup of the operator.
  await writeFile(join(dataDir, 'postgres-password-20261128'), 'kept');
  await start();
  expect((await readdir(dataDir)).sort()).toEqual([
    'postgres',
    'postgres-password',
    'postgres-password-20261128',
  ]);
});

test('says what to do when the password is missing', async () => {
  await (await start()).stop();
  await rm(join(dataDir, 'postgres-password'));
  await expect(start()).rejects.toThrow(/postgres-password is missing.*Put the file back/);
});

(isRoot ? test : test.skip)(
  'runs as another account for root, in a folder that this account cannot enter',
  async () => {
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
    const postgres = await start();
    expect((await stat(`/proc/${postgres.pid}`)).uid).not.toBe(0);
    expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
  },
);
