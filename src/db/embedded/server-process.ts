import { spawn, type ChildProcess } from 'node:child_process';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import type { Logger } from 'pino';
import { TIMED_OUT, withTimeout } from '../../core/primitives/async.js';
import { type ProcessControl } from './process-control.js';
import { workingDirectoryPath, postgresEnvironment, type OsAccount } from './server-account.js';

/** Before it is ready, a server replays up to max_wal_size, 1 GB, after a power failure: some seconds, plus a margin. */
const READY_TIMEOUT_MS = 120_000;
const MAX_LOG_LINES = 20;
/** Warnings worth logging, without the end of each connection at shutdown. */
const WARNING_PATTERN = /^(PANIC|WARNING|FATAL(?!.*administrator command))/;

/** A PostgreSQL server that accepts connections. */
export interface PostgresServer {
  port: number;
  process: ChildProcess;
  pid: number;
  /** Resolves when the process has ended. Never rejects. */
  exited: Promise<void>;
}

/** The server ended before it was ready. `isTransient`: another attempt can succeed. */
export class ServerStartFailed extends Error {
  readonly isTransient: boolean;
  constructor(lines: readonly string[]) {
    super(
      `The embedded PostgreSQL did not start. Correct the cause, or set DATABASE_URL to your own PostgreSQL. Its output: ${lines.join(' | ') || 'nothing'}`,
    );
    // Another program took the port, another process starts the same cluster, or children of a killed server are still ending.
    this.isTransient = /could not bind|TCP\/IP sockets|lock file|still in use/.test(this.message);
  }
}

/**
 * Starts the server of the cluster at `cluster` on a free port of 127.0.0.1 and resolves when it accepts connections. It
 * is out of the reach of Ctrl-C, which ends this process, and this process stops the server last. Rejects with ServerStartFailed
 * when it ends instead.
 */
export async function startServer(options: {
  program: string;
  cluster: string;
  account: OsAccount | undefined;
  processes: ProcessControl;
  settings: Record<string, string | number>;
  log: Logger;
}): Promise<PostgresServer> {
  const { program, cluster, account, log } = options;
  const port = await findFreePort();
  const settings = { ...options.settings, port, listen_addresses: '127.0.0.1', unix_socket_directories: '' };
  const child = spawn(
    program,
    [
      ...['-D', workingDirectoryPath(cluster, account)],
      ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    ],
    {
      ...account,
      cwd: cluster,
      env: postgresEnvironment(),
      ...options.processes.spawnOptions,
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const exited = new Promise<void>((done) => child.once('close', () => done()).once('error', () => done()));
  const lines: string[] = [];
  const ready = new Promise<void>((done, fail) => {
    createInterface(child.stderr).on('line', (line) => {
      lines.push(line);
      if (lines.length > MAX_LOG_LINES) lines.shift();
      // With log_min_messages=log the server logs no failed statements. Their senders log those.
      log[WARNING_PATTERN.test(line) ? 'warn' : 'debug'](line);
      if (line.includes('database system is ready to accept connections')) done();
    });
    child.once('error', fail).once('close', () => fail(new ServerStartFailed(lines)));
  });
  try {
    if ((await withTimeout(ready, READY_TIMEOUT_MS)) === TIMED_OUT)
      throw new ServerStartFailed([...lines, 'not ready in time']);
  } catch (error) {
    if (child.pid !== undefined) await options.processes.signal(child.pid, 'SIGQUIT');
    await exited;
    throw error;
  }
  return { port, process: child, pid: child.pid ?? 0, exited };
}

/** Returns a port that is free now. If another program takes it, the start is retried. */
async function findFreePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((done, fail) => probe.once('error', fail).listen(0, '127.0.0.1', done));
  const { port } = probe.address() as AddressInfo;
  await new Promise((done) => probe.close(done));
  return port;
}
