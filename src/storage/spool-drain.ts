import { type Logger } from 'pino';
import { DatabaseUnavailable } from '../core/errors.js';
import { singleFlight, withTimeout } from '../core/primitives/async.js';
import { crashIfArmed } from '../core/primitives/crash-points.js';
import { type Spool } from './spool.js';

/** Delays between passes while PostgreSQL is away. The last one repeats. */
const RETRY_DELAYS_MS = [100, 250, 500, 1_000] as const;
const MAX_RETRY_DELAY_MS = 1_000;
/** Tasks whose values are applied at the same time. It takes some milliseconds for each, and requests need the connections too. */
const CONCURRENT_TASKS = 4;
/** An instance that stops may never be started again, so it applies what it can. */
const LAST_PASS_TIMEOUT_MS = 500;
/** A name in the spool begins with the UUID of the task. */
const TASK_ID_LENGTH = 36;

export interface SpoolDrainDependencies {
  spool: Spool;
  log: Logger;
  /** For the log. */
  subject: string;
  /**
   * Applies a value. It may have been applied before: by a process that was killed before it removed the file, or by another
   * instance with the same folder. It then changes nothing.
   */
  apply(value: unknown): Promise<void>;
}

/**
 * Applies what waits in a spool for PostgreSQL, and removes it. The values of one task are applied in the order of their names,
 * and one that cannot be applied delays no other. It stays on the disk until the next start.
 */
export class SpoolDrain {
  /** Names by task, in the order in which they are applied. */
  private readonly waiting = new Map<string, string[]>();
  private failedPasses = 0;
  private timer: NodeJS.Timeout | undefined;
  private isStopped = false;

  constructor(private readonly deps: SpoolDrainDependencies) {}

  /** Adds what an earlier process has left in the spool. */
  async load(): Promise<void> {
    for (const name of await this.deps.spool.list()) this.add(name);
  }

  /** Writes a value of a task to the spool, to be applied as soon as PostgreSQL responds. Rejects if it is not on the disk. */
  async keep(name: string, value: object): Promise<void> {
    await this.deps.spool.write(name, value);
    this.add(name);
    this.schedule();
  }

  /** Whether a value of this task waits. */
  isWaiting(taskId: string): boolean {
    return this.waiting.has(taskId);
  }

  /** Applies what waits until nothing is left or PostgreSQL does not respond. It is then tried again until `stop`. */
  readonly applyWaiting = singleFlight(async () => {
    clearTimeout(this.timer);
    this.timer = undefined;
    // The workers share the iterator, so each task has one of them.
    const taskIds = [...this.waiting.keys()].values();
    let isAway = false;
    const work = async () => {
      for (const taskId of taskIds) {
        if (isAway || this.isStopped) return;
        if (!(await this.applyTask(taskId))) isAway = true;
      }
    };
    await Promise.all(Array.from({ length: CONCURRENT_TASKS }, work));
    this.failedPasses = isAway ? this.failedPasses + 1 : 0;
    if (this.waiting.size > 0) this.schedule();
  });

  /** Applies what it can within half a second. The rest stays on the disk. */
  async stop(): Promise<void> {
    await withTimeout(this.applyWaiting(), LAST_PASS_TIMEOUT_MS);
    this.isStopped = true;
    clearTimeout(this.timer);
    await this.applyWaiting();
  }

  /** Returns false if PostgreSQL is away. */
  private async applyTask(taskId: string): Promise<boolean> {
    const { spool, log, subject } = this.deps;
    for (let name; (name = this.waiting.get(taskId)?.[0]) && !this.isStopped; this.forget(taskId, name)) {
      try {
        const value = await spool.read(name);
        if (value !== null) await this.deps.apply(value);
        crashIfArmed('spooled-applied');
        await spool.remove(name);
        log.warn({ taskId, subject }, 'applied what waited in the spool for PostgreSQL');
      } catch (error) {
        if (error instanceof DatabaseUnavailable) return false;
        log.error(
          { err: error, name, subject },
          'a file in the spool could not be applied; it is tried again at the next start',
        );
      }
    }
    return true;
  }

  private add(name: string): void {
    const taskId = name.slice(0, TASK_ID_LENGTH);
    const names = this.waiting.get(taskId) ?? [];
    if (!names.includes(name)) this.waiting.set(taskId, [...names, name].sort());
  }

  private forget(taskId: string, name: string): void {
    const others = this.waiting.get(taskId)?.filter((other) => other !== name) ?? [];
    if (others.length > 0) this.waiting.set(taskId, others);
    else this.waiting.delete(taskId);
  }

  private schedule(): void {
    if (this.isStopped) return;
    const delayMs = RETRY_DELAYS_MS[this.failedPasses] ?? MAX_RETRY_DELAY_MS;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.applyWaiting();
    }, delayMs).unref();
  }
}
