import { Semaphore } from 'async-mutex';
import { TIMED_OUT, withTimeout } from '../core/primitives/async.js';

/**
 * An operation that hangs keeps its thread, and Node.js has four by default, for all disks, host names and cryptography.
 * `MIN_THREADS` in src/config/thread-pool.ts has room for all disks at once.
 */
const MAX_DISK_OPERATIONS = 2;
/** A busy disk syncs a file within a second or two. */
export const SPOOL_TIMEOUT_MS = 5_000;

/** The disk has not answered in time. */
export class DiskStalled extends Error {
  override readonly name = 'DiskStalled';
  constructor() {
    super('The disk does not respond.');
  }
}

interface DiskOperationsOptions {
  /** Operations at the same time, and so threads that the disk can keep. Default: 2. */
  maxConcurrent?: number;
  /** How long an operation waits to be started, and how long one may take before it counts as hanging. Default: 5 s. */
  timeoutMs?: number;
}

/** Operations of a disk that may never answer. Nothing can interrupt them, so only a few at a time are started. */
export class DiskOperations {
  private readonly slots: Semaphore;
  private readonly maxConcurrent: number;
  private readonly timeoutMs: number;
  /** When those that are running began. */
  private readonly running = new Set<{ startedAt: number }>();

  constructor({
    maxConcurrent = MAX_DISK_OPERATIONS,
    timeoutMs = SPOOL_TIMEOUT_MS,
  }: DiskOperationsOptions = {}) {
    this.slots = new Semaphore(maxConcurrent);
    this.maxConcurrent = maxConcurrent;
    this.timeoutMs = timeoutMs;
  }

  /**
   * Resolves when the disk has answered, however long it takes. Rejects with DiskStalled if the operation was not even started in
   * time, and at once while as many operations hang as may run.
   */
  async start<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.isStalled) throw new DiskStalled();
    let isGivenUp = false;
    let onStarted = () => {};
    const started = new Promise<void>((resolve) => (onStarted = resolve));
    const result = this.startEventually(() => {
      onStarted();
      return isGivenUp ? Promise.reject(new DiskStalled()) : work();
    });
    result.catch(() => undefined);
    if (this.slots.isLocked() && (await withTimeout(started, this.timeoutMs)) === TIMED_OUT) {
      isGivenUp = true;
      throw new DiskStalled();
    }
    return result;
  }

  /** Starts an operation that must not be left out, such as closing a file, however long it has to wait. */
  startEventually<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.slots.runExclusive(async () => {
      const operation = { startedAt: performance.now() };
      this.running.add(operation);
      try {
        return await work();
      } finally {
        this.running.delete(operation);
      }
    });
  }

  /** Waits for an operation for as long as a disk may take, then throws DiskStalled. The operation goes on. */
  async limit<Result>(operation: Promise<Result>): Promise<Result> {
    const result = await withTimeout(operation, this.timeoutMs);
    if (result === TIMED_OUT) throw new DiskStalled();
    return result;
  }

  /** Whether every operation that may run has hung for longer than a disk takes. */
  private get isStalled(): boolean {
    if (this.running.size < this.maxConcurrent) return false;
    const now = performance.now();
    return [...this.running].every(({ startedAt }) => now - startedAt >= this.timeoutMs);
  }
}
