import { execFile, type SpawnOptions } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { parse } from 'node:path';
import { promisify } from 'node:util';
import { postgresEnvironment, type OsAccount } from './server-account.js';

/** A fast shutdown, an immediate one, or the end of the process without one. */
export type ServerSignal = 'SIGINT' | 'SIGQUIT' | 'SIGKILL';

interface ProcessControlOptions {
  pgCtl: string;
  account: OsAccount | undefined;
  /** Default: of this machine. */
  platform?: NodeJS.Platform;
}

/** How servers are started apart from this process, recognized and ended, which is different on each operating system. */
export class ProcessControl {
  private readonly platform: NodeJS.Platform;

  constructor(private readonly options: ProcessControlOptions) {
    this.platform = options.platform ?? process.platform;
  }

  /**
   * Keeps a server out of the reach of Ctrl-C, because this process stops it last. On Windows that is a console of its own,
   * which stays hidden. A detached server would have none there, and each of its processes would open a window.
   */
  get spawnOptions(): Pick<SpawnOptions, 'detached' | 'windowsHide'> {
    return this.platform === 'win32' ? { windowsHide: true } : { detached: true };
  }

  /** Does nothing when the process has ended. */
  async signal(pid: number, signal: ServerSignal): Promise<void> {
    // On Windows, a signal from Node ends a process at once. PostgreSQL listens to a pipe instead, which pg_ctl writes to.
    if (this.platform === 'win32' && signal !== 'SIGKILL') return this.signalByPipe(pid, signal);
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  /**
   * Whether the process is the server of this cluster, as far as this can be known. True when it cannot: taking a running
   * server for another program would let a second one open its files.
   */
  async isPostmasterOf(pid: number, cluster: string): Promise<boolean> {
    if (this.platform === 'linux') return isWorkingDirectory(pid, cluster);
    const [program, args]: [string, string[]] =
      this.platform === 'win32'
        ? ['tasklist', ['/FI', `PID eq ${pid}`, '/FO', 'CSV', '/NH']]
        : ['ps', ['-p', String(pid), '-o', 'comm=']];
    try {
      const { stdout } = await promisify(execFile)(program, args, {
        env: postgresEnvironment(),
        windowsHide: true,
      });
      return stdout.toLowerCase().includes('postgres');
    } catch (error) {
      // An exit code is a number: `ps` knows no such process. Otherwise the program is missing or not allowed.
      return typeof (error as { code?: unknown }).code !== 'number';
    }
  }

  private async signalByPipe(pid: number, signal: 'SIGINT' | 'SIGQUIT'): Promise<void> {
    const { account, pgCtl } = this.options;
    const args = ['kill', signal.slice('SIG'.length), String(pid)];
    const options = { ...account, cwd: parse(pgCtl).root, env: postgresEnvironment(), windowsHide: true };
    // It fails when the process has ended. Callers wait for the end, and choose a stronger signal if it does not come.
    await promisify(execFile)(pgCtl, args, options).catch(() => undefined);
  }
}

/** A postmaster's working directory is its cluster. Linux shows it, except for a process that has ended but was not waited for. */
async function isWorkingDirectory(pid: number, cluster: string): Promise<boolean> {
  // eslint-disable-next-line portable/syntax -- only asked on Linux
  const [cwd, folder] = await Promise.all([stat(`/proc/${pid}/cwd`).catch(() => undefined), stat(cluster)]);
  return cwd !== undefined && cwd.ino === folder.ino && cwd.dev === folder.dev;
}
