/**
 * How a service is asked to end: by Ctrl-C, by a supervisor, or because the terminal or its window was closed. Windows has no
 * SIGTERM, but Ctrl-Break. An unknown signal never arrives.
 */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGBREAK'] as const;
/** Over a channel of Node (`fork`), for parents on Windows, where every signal that one process sends another kills it. */
export const SHUTDOWN_MESSAGE = 'shutdown';

/**
 * Resolves to the exit code as soon as the process should end, and never rejects. Also when the parent at the other end of a
 * channel has died. Ctrl-C reaches a program below npm more than once, so repeated requests change nothing.
 */
export class ShutdownRequest {
  readonly exitCode: Promise<number>;
  private resolve!: (exitCode: number) => void;

  constructor() {
    this.exitCode = new Promise((resolve) => (this.resolve = resolve));
    for (const signal of SIGNALS) process.on(signal, () => this.request(0));
    // A process without a channel has no `send`.
    if (!process.send) return;
    process.on('message', (message) => {
      if (message === SHUTDOWN_MESSAGE) this.request(0);
    });
    process.once('disconnect', () => this.request(0));
    // The parent has died while this process began, and no event will follow.
    if (!process.connected) this.request(0);
  }

  request(exitCode: number): void {
    this.resolve(exitCode);
  }
}
