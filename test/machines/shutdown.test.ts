import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { waitFor } from '../support/wait-for.js';

/** `npm start` may have to build first. */
const TIMEOUT_MS = 300_000;
const START = { timeoutMs: 240_000 };
/** A shutdown takes at most 15 s. */
const STOP = { timeoutMs: 20_000 };

let dataDir: string;
let programs: Program[];
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'darkroom-shutdown-'));
  programs = [];
});
afterEach(async () => {
  for (const program of programs) await program.kill();
  await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
});

/** A service that leads a process group, as a terminal starts one, and its embedded PostgreSQL. */
class Program {
  output = '';
  readonly child: ChildProcess;

  constructor(command: string, args: readonly string[]) {
    const env = { PATH: process.env.PATH, HOME: dataDir, PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'info' };
    this.child = spawn(command, args, {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', ...(command === 'npm' ? [] : (['ipc'] as const))],
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on('data', (chunk) => (this.output += String(chunk)));
    programs.push(this);
  }

  async waitForOutput(text: string): Promise<void> {
    const hasText = () => {
      if (this.child.exitCode !== null) throw new Error(`It exited: ${this.output}`);
      return this.output.includes(text);
    };
    await waitFor(text, hasText, START);
  }

  /** The service and PostgreSQL. npm and the scripts are the other processes of the group. */
  get pids(): { service: number; postgres: number } {
    const [, service, postgres] =
      /"pid":(\d+),[^\n]*"postgresPid":(\d+)[^\n]*embedded Postgres started/.exec(this.output) ?? [];
    return { service: Number(service), postgres: Number(postgres) };
  }

  signalGroup(signal: NodeJS.Signals): void {
    process.kill(-Number(this.child.pid), signal);
  }

  async waitUntilAllHaveEnded(): Promise<void> {
    const { service, postgres } = this.pids;
    await waitFor('the service to end', () => !isAlive(service), STOP);
    await waitFor('PostgreSQL to end', () => !isAlive(postgres), STOP);
    if (this.child.exitCode === null && this.child.signalCode === null) await once(this.child, 'exit');
  }

  async kill(): Promise<void> {
    const { service, postgres } = this.pids;
    for (const pid of [-Number(this.child.pid), service, postgres])
      if (isAlive(pid)) process.kill(pid, 'SIGKILL');
    if (postgres) await waitFor('PostgreSQL to end', () => !isAlive(postgres), STOP);
  }
}

function isAlive(pid: number): boolean {
  try {
    return Boolean(pid) && process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('the service and its PostgreSQL end', () => {
  test(
    'on Ctrl-C, which reaches npm and everything below it',
    async () => {
      const program = new Program('npm', ['start']);
      await program.waitForOutput('Darkroom is listening');
      program.signalGroup('SIGINT');
      await program.waitUntilAllHaveEnded();
      expect(program.output).toContain('shutting down');
    },
    TIMEOUT_MS,
  );

  test(
    'on SIGTERM to npm alone',
    async () => {
      const program = new Program('npm', ['start']);
      await program.waitForOutput('Darkroom is listening');
      program.child.kill('SIGTERM');
      await program.waitUntilAllHaveEnded();
    },
    TIMEOUT_MS,
  );

  test(
    'on Ctrl-C during the start',
    async () => {
      const program = new Program('npm', ['start']);
      await program.waitForOutput('embedded Postgres started');
      program.signalGroup('SIGINT');
      await program.waitUntilAllHaveEnded();
    },
    TIMEOUT_MS,
  );

  test(
    'when the terminal is closed, which nothing can be written to then',
    async () => {
      const program = new Program('npm', ['start']);
      await program.waitForOutput('Darkroom is listening');
      program.child.stdout?.destroy();
      program.child.stderr?.destroy();
      program.signalGroup('SIGHUP');
      await program.waitUntilAllHaveEnded();
    },
    TIMEOUT_MS,
  );

  test(
    'when the script that npm runs is killed',
    async () => {
      const program = new Program(process.execPath, ['scripts/npm/run.mjs', 'src/main.js']);
      await program.waitForOutput('Darkroom is listening');
      program.child.kill('SIGKILL');
      await program.waitUntilAllHaveEnded();
    },
    TIMEOUT_MS,
  );

  test(
    'on a message of the parent, because a signal of another process kills at once on Windows',
    async () => {
      const program = new Program(process.execPath, ['dist/src/main.js']);
      await program.waitForOutput('Darkroom is listening');
      program.child.send('shutdown');
      await program.waitUntilAllHaveEnded();
    },
    TIMEOUT_MS,
  );
});
