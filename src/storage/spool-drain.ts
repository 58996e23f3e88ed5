import { setTimeout as pause } from 'node:timers/promises';
import { type Logger } from 'pino';
import { DatabaseUnavailable } from '../core/errors.js';
import { delayAfter, singleFlight, TIMED_OUT, withTimeout } from '../core/primitives/async.js';
import { crashIfArmed } from '../core/primitives/crash-points.js';
import { DiskStalled } from './disk-operations.js';
import { type Spool } from './spool.js';

/** Delays between passes while PostgreSQL is away or the disk does not answer. The last one repeats. */
const RETRY_DELAYS_MS = [100, 250, 500, 1_000] as const;
const MAX_RETRY_DELAY_MS = 1_000;
/** Delays before a value that could not be applied for another reason is tried again. The last one repeats. */
const FAILED_RETRY_DELAYS_MS = [1_000, 10_000, 60_000, 600_000, 3_600_000] as const;
/** The other half of the room is for what arrives while PostgreSQL is away. */
const SHARE_OF_FAILED = 0.5;
/** The start does not wait longer for a disk. */
const LOAD_TIMEOUT_MS = 5_000;
/** Tasks whose values are applied at the same time. It takes some milliseconds for each, and requests need the connections too. */
const CONCURRENT_TASKS = 4;
/** An instance that stops may never be started again, so it applies what it can. */
const LAST_PASS_TIMEOUT_MS = 500;
/** A name in the spool begins with the UUID of the task. */
const TASK_ID_LENGTH = 36;

/** Numbers of values. */
export interface SpoolState {
  waiting: number;
  failed: number;
}

/** A value that the disk did not take, or not yet. */
export interface UnwrittenValue {
  value: object;
  /** Removes the file, if the disk takes it after all. Never rejects. */
  removeFile(): Promise<void>;
}

interface FailedValue {
  failures: number;
  /** Of the clock `performance.now`. */
  retryAt: number;
  /** `appliedValues` at the last failure. */
  appliedBefore: number;
  /** Whether another value was applied between its last two failures. */
  isOwnFault: boolean;
}

interface SpoolDrainDependencies {
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
 * Applies what waits in a spool, and removes it. The values of one task are applied in the order of their names, as soon as
 * PostgreSQL and the disk respond. One that cannot be applied for another reason delays no other, and is tried again with growing
 * pauses, or as soon as PostgreSQL works again.
 */
export class SpoolDrain {
  /** Names by task, in the order in which they are applied. */
  private readonly waiting = new Map<string, string[]>();
  /** By the names of values that could not be applied. */
  private readonly failed = new Map<string, FailedValue>();
  private appliedValues = 0;
  /** Failed values by name that are only in memory. */
  private readonly unwritten = new Map<string, UnwrittenValue>();
  private failedPasses = 0;
  private timer: NodeJS.Timeout | undefined;
  private failedTimer: { timer: NodeJS.Timeout; dueAt: number } | null = null;
  private isStopped = false;

  constructor(private readonly deps: SpoolDrainDependencies) {}

  /**
   * Adds what an earlier process has left in the spool. Resolves after 5 s at the latest. While the disk does not list it, it is
   * asked again until `stop`.
   */
  async load(): Promise<void> {
    const result = await withTimeout(this.loadUntilListed(), LOAD_TIMEOUT_MS);
    if (result === TIMED_OUT)
      this.deps.log.error(
        { subject: this.deps.subject },
        'the spool cannot be listed yet; it is tried again',
      );
  }

  /** Writes a value of a task to the spool, to be applied as soon as PostgreSQL responds. Rejects if it is not on the disk. */
  async keep(name: string, value: object): Promise<void> {
    await this.deps.spool.write(name, value);
    this.add(name);
    this.schedule();
  }

  /**
   * Writes a value that could not be applied, to be tried again with growing pauses. Later values of its task do not wait for it.
   * Rejects if it is not on the disk.
   */
  async keepFailed(name: string, value: object, cause: unknown): Promise<void> {
    await this.deps.spool.write(name, value, { share: SHARE_OF_FAILED });
    this.addFailed(name, cause);
  }

  /**
   * The same for a value that is in the spool already. One that is not is kept in memory, and is applied if that is possible
   * before this process ends.
   */
  addFailed(name: string, cause: unknown, unwritten?: UnwrittenValue): void {
    if (unwritten) this.unwritten.set(name, unwritten);
    this.noteFailure(name, cause);
    this.scheduleFailed();
  }

  /** Numbers of the values in the spool. The failed ones could not be applied although PostgreSQL responds. */
  get state(): SpoolState {
    const failed = this.failed.size;
    const names = [...this.waiting.values()].flat().filter((name) => !this.failed.has(name));
    return { waiting: names.length, failed };
  }

  /**
   * Tells that a value was applied, one of the spool or another one. What failed before is then due at once, because its cause may
   * be gone. A value that failed before and after another one was applied has a cause of its own, and keeps its pauses.
   */
  noteApplied(): void {
    this.appliedValues += 1;
    this.makeDue(({ isOwnFault }) => !isOwnFault);
  }

  /** Whether a value of this task waits. */
  isWaiting(taskId: string): boolean {
    return this.waiting.has(taskId);
  }

  /** Applies what waits until nothing is left or PostgreSQL does not respond. It is then tried again until `stop`. */
  readonly applyWaiting = singleFlight(async () => {
    clearTimeout(this.timer);
    this.timer = undefined;
    for (const [name, { retryAt }] of this.failed) if (retryAt <= performance.now()) this.add(name);
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
    // An outage can begin and end with other errors.
    if (this.failedPasses > 0 && !isAway) this.makeDue(() => true);
    this.failedPasses = isAway ? this.failedPasses + 1 : 0;
    if (this.waiting.size > 0) this.schedule();
    this.scheduleFailed();
  });

  /** Applies what it can within half a second. The rest stays on the disk, and what is only in memory is lost. */
  async stop(): Promise<void> {
    for (const name of this.unwritten.keys()) this.add(name);
    // A pass that is in progress may have begun without them.
    const lastPass = this.applyWaiting().then(() => this.applyWaiting());
    await withTimeout(lastPass, LAST_PASS_TIMEOUT_MS);
    this.isStopped = true;
    clearTimeout(this.timer);
    clearTimeout(this.failedTimer?.timer);
    await this.applyWaiting();
    const { log, subject } = this.deps;
    for (const name of this.unwritten.keys())
      log.error({ name, subject }, 'a value that is in no file could not be applied, and is lost');
  }

  private async loadUntilListed(): Promise<void> {
    const { spool, log, subject } = this.deps;
    while (!this.isStopped) {
      try {
        for (const name of await spool.list()) this.add(name);
        this.schedule();
        return;
      } catch (error) {
        log.error({ err: error, subject }, 'the spool could not be listed');
        await pause(MAX_RETRY_DELAY_MS, undefined, { ref: false });
      }
    }
  }

  /** Returns false if PostgreSQL is away or the disk does not answer. */
  private async applyTask(taskId: string): Promise<boolean> {
    const { spool, log, subject } = this.deps;
    for (let name; (name = this.waiting.get(taskId)?.[0]) && !this.isStopped; this.forget(taskId, name)) {
      try {
        const unwritten = this.unwritten.get(name);
        const value = unwritten ? unwritten.value : await spool.read(name);
        if (value !== null) await this.deps.apply(value);
        crashIfArmed('spooled-applied');
        // The disk may never answer.
        if (unwritten) void unwritten.removeFile();
        else await spool.remove(name);
        this.unwritten.delete(name);
        this.failed.delete(name);
        if (value === null) {
          // Another instance with the same folder may have applied it.
          log.warn({ name, subject }, 'a file in the spool has vanished');
          continue;
        }
        log.warn({ taskId, subject }, 'applied what waited in the spool');
        this.noteApplied();
      } catch (error) {
        if (error instanceof DiskStalled)
          log.error({ err: error, name, subject }, 'the disk of the spool does not respond');
        if (error instanceof DiskStalled || error instanceof DatabaseUnavailable) {
          this.moveToEnd(taskId);
          return false;
        }
        this.noteFailure(name, error);
      }
    }
    return true;
  }

  private noteFailure(name: string, error: unknown): void {
    const before = this.failed.get(name);
    const failures = (before?.failures ?? 0) + 1;
    const retryMs = delayAfter(FAILED_RETRY_DELAYS_MS, failures);
    const { appliedValues: appliedBefore } = this;
    this.failed.set(name, {
      failures,
      retryAt: performance.now() + retryMs,
      appliedBefore,
      isOwnFault: before !== undefined && before.appliedBefore < appliedBefore,
    });
    const { log, subject } = this.deps;
    log.error({ err: error, name, subject, failures, retryMs }, 'a file in the spool could not be applied');
  }

  private makeDue(isChosen: (failed: FailedValue) => boolean): void {
    if (this.failed.size === 0) return;
    const now = performance.now();
    for (const failed of this.failed.values())
      if (isChosen(failed)) failed.retryAt = Math.min(failed.retryAt, now);
    this.scheduleFailed();
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

  /** The next pass comes to the other tasks first, because the disk may have trouble with this one only, or its row be locked. */
  private moveToEnd(taskId: string): void {
    const names = this.waiting.get(taskId) ?? [];
    this.waiting.delete(taskId);
    this.waiting.set(taskId, names);
  }

  private schedule(): void {
    if (this.isStopped || this.waiting.size === 0) return;
    const delayMs = delayAfter(RETRY_DELAYS_MS, this.failedPasses + 1);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      void this.applyWaiting();
    }, delayMs).unref();
  }

  private scheduleFailed(): void {
    if (this.isStopped || this.failed.size === 0) return;
    const retryAt = Math.min(...Array.from(this.failed.values(), (failed) => failed.retryAt));
    // While PostgreSQL is away, those that are due wait already.
    const dueAt = Math.max(retryAt, performance.now() + MAX_RETRY_DELAY_MS);
    // Values that fail or are applied every moment must not put the next pass off.
    if (this.failedTimer && this.failedTimer.dueAt <= dueAt) return;
    clearTimeout(this.failedTimer?.timer);
    const timer = setTimeout(() => {
      this.failedTimer = null;
      void this.applyWaiting();
    }, dueAt - performance.now()).unref();
    this.failedTimer = { timer, dueAt };
  }
}
