import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import type { Logger } from 'pino';
import { nameOfWorkingDirectory, serverEnvironment, type Account } from './server-account.js';

/** Replaying the log after a power cut comes before "ready": up to max_wal_size, 1 GB; some seconds, with a margin. */
const READY_WITHIN_MS = 120_000;
const KEPT_LINES = 20;
/** Not the end of each connection when we stop. */
const NOTEWORTHY = /^(PANIC|WARNING|FATAL(?!.*administrator command))/;

/** A Postgres that accepts connections. */
export interface Server {
  port: number;
  process: ChildProcess;
  pid: number;
  /** Resolves when the process is gone; never rejects. */
  exited: Promise<void>;
}

/** The server ended before it was ready. `transient`: another try may work, as something else was in the way. */
export class ServerNotReady extends Error {
  readonly transient: boolean;
  constructor(lines: readonly string[]) {
    super(`The embedded Postgres did not start. It said: ${lines.join(' | ') || 'nothing'}`);
    // Somebody took the port; another process starts the same cluster; children of a killed server are still ending.
    this.transient = /could not bind|TCP\/IP sockets|lock file|still in use/.test(this.message);
  }
}

/**
 * Starts the server of the cluster at `cluster` on a free port of 127.0.0.1 and resolves when it accepts connections. It
 * leads a process group of its own, so Ctrl-C in a terminal reaches only us, and we stop it last. Rejects with
 * ServerNotReady when it ends instead.
 */
export async function startServer(options: {
  program: string;
  cluster: string;
  account: Account | undefined;
  settings: Record<string, string | number>;
  log: Logger;
}): Promise<Server> {
  const { program, cluster, account, log } = options;
  const port = await freePort();
  const settings = { ...options.settings, port, listen_addresses: '127.0.0.1', unix_socket_directories: '' };
  const child = spawn(
    program,
    [
      ...['-D', nameOfWorkingDirectory(cluster, account)],
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    {
      ...account,
      cwd: cluster,
      env: serverEnvironment(),
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const exited = new Promise<void>((done) => child.once('close', () => done()).once('error', () => done()));
  const lines: string[] = [];
  const ready = new Promise<void>((done, fail) => {
    createInterface(child.stderr).on('line', (line) => {
      lines.push(line);
      if (lines.length > KEPT_LINES) lines.shift();
      // A statement's failure is told by whoever sent it (log_min_messages=log); what is left here is the server's own.
      log[NOTEWORTHY.test(line) ? 'warn' : 'debug'](line);
      if (line.includes('database system is ready to accept connections')) done();
    });
    child.once('error', fail).once('close', () => fail(new ServerNotReady(lines)));
    setTimeout(() => fail(new ServerNotReady([...lines, 'not ready in time'])), READY_WITHIN_MS).unref();
  });
  try {
    await ready;
  } catch (error) {
    child.kill('SIGQUIT');
    await exited;
    throw error;
  }
  return { port, process: child, pid: child.pid ?? 0, exited };
}

/** Free at this moment; whoever is refused it asks again. */
async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done, fail) => probe.once('error', fail).listen(0, '127.0.0.1', done));
  const { port } = probe.address() as AddressInfo;
  await new Promise((done) => probe.close(done));
  return port;
}
