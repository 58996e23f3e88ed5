import { Semaphore, withTimeout as withAcquireTimeout } from 'async-mutex';
import { TIMED_OUT, withTimeout } from '../core/primitives/async.js';

/** Node.js has four threads for disks, which look up host names as well. An operation that hangs keeps its thread. */
const MAX_CONCURRENT = 2;
/** A busy disk syncs a file within a second or two. */
export const SPOOL_TIMEOUT_MS = 5_000;

/** The disk has not answered in time. */
export class DiskStalled extends Error {
  override readonly name = 'DiskStalled';
  constructor() {
    super('The disk does not respond.');
  }
}

/** Operations of a disk that may never answer. Nothing can interrupt them, so only two at a time are started. */
export class DiskOperations {
  private readonly slots: Pick<Semaphore, 'runExclusive'>;

  constructor(private readonly timeoutMs = SPOOL_TIMEOUT_MS) {
    this.slots = withAcquireTimeout(new Semaphore(MAX_CONCURRENT), timeoutMs, new DiskStalled());
  }

  /** Resolves when the disk has answered, however long it takes. Rejects with DiskStalled if the operation was not even started in time. */
  start<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.slots.runExclusive(work);
  }

  /** Waits for an operation for as long as a disk may take, then throws DiskStalled. The operation goes on. */
  async limit<Result>(operation: Promise<Result>): Promise<Result> {
    const result = await withTimeout(operation, this.timeoutMs);
    if (result === TIMED_OUT) throw new DiskStalled();
    return result;
  }
}
