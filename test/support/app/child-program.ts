import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Runs a Darkroom program from source in a child process. The first line that it prints must be JSON: it means that the program is ready. */
export class ChildProgram<Ready> {
  private constructor(
    private readonly child: ChildProcess,
    private readonly exited: Promise<unknown>,
    readonly ready: Ready,
  ) {}

  /** `imports` are modules that run before the program. */
  static async start<Ready>(
    file: string,
    environment: Record<string, string>,
    imports: readonly string[] = [],
  ): Promise<ChildProgram<Ready>> {
    const modules = ['./test/support/setup/typescript.mjs', ...imports];
    const child = spawn(process.execPath, [...modules.flatMap((module) => ['--import', module]), file], {
      cwd: ROOT,
      env: { PATH: process.env.PATH, ...environment },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const exitedEarly = exited.then(() => {
      throw new Error(`${file} exited with ${child.exitCode ?? child.signalCode} before it was ready.`);
    });
    const [line] = (await Promise.race([once(createInterface(child.stdout), 'line'), exitedEarly])) as [
      string,
    ];
    exitedEarly.catch(() => undefined);
    return new ChildProgram(child, exited, JSON.parse(line) as Ready);
  }

  get hasExited(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }

  /** Sends a signal that does not end the process. */
  sendSignal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.child.kill(signal);
  }

  /** Ends the process, waits for its exit, and resolves to the exit code or to the signal that killed it. */
  async terminate(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | NodeJS.Signals | null> {
    if (!this.hasExited) {
      this.child.kill(signal);
      await this.exited;
    }
    return this.child.exitCode ?? this.child.signalCode;
  }
}
