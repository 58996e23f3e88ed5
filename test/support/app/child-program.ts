import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** A program of ours as a process of its own, run from its source. What it prints first is JSON, and says that it is ready. */
export class Instance<Ready> {
  private constructor(
    private readonly child: ChildProcess,
    private readonly gone: Promise<unknown>,
    readonly ready: Ready,
  ) {}

  static async start<Ready>(file: string, environment: Record<string, string>): Promise<Instance<Ready>> {
    const child = spawn(process.execPath, ['--import', './test/support/setup/typescript.mjs', file], {
      cwd: ROOT,
      env: { PATH: process.env.PATH, ...environment },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const gone = once(child, 'exit');
    const early = gone.then(() => {
      throw new Error(`${file} ended with ${child.exitCode ?? child.signalCode} before it was ready.`);
    });
    const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), early])) as [string];
    early.catch(() => undefined);
    return new Instance(child, gone, JSON.parse(line) as Ready);
  }

  get isGone(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** SIGSTOP and SIGCONT take hold at once; the others when the process is gone. */
  send(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.child.kill(signal);
  }

  /** Ends it, and resolves when it is gone: its exit code, or the signal that it died by. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | NodeJS.Signals | null> {
    if (!this.isGone) {
      this.child.kill(signal);
      await this.gone;
    }
    return this.child.exitCode ?? this.child.signalCode;
  }
}
