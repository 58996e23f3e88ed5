import { type CallbackVerdict } from '../../core/callbacks/callback.js';
import { CallbackNotKept, DatabaseUnavailable } from '../../core/errors.js';
import { TIMED_OUT, withTimeout } from '../../core/primitives/async.js';
import { crashIfArmed } from '../../core/primitives/crash-points.js';
import { retryUntilDatabaseReturns } from '../../db/postgres/database-retry.js';
import { type RawCallback } from '../../db/tasks/task-transition.js';
import { type Spool, type SpoolLimits } from '../../storage/spool.js';
import { SpoolDrain, type SpoolState } from '../../storage/spool-drain.js';
import { type Dependencies } from '../dependencies.js';
import { type Generation } from '../tasks/generation.js';

/**
 * For an hour-long outage with three callbacks a second, of which each has about 2 kB. The bytes bound what a few callbacks of
 * 10 MB take from the disk, which PostgreSQL and the images may share.
 */
export const CALLBACK_SPOOL_LIMITS: SpoolLimits = { maxFiles: 10_000, maxBytes: 256 * 1024 * 1024 };

/** How long to try to keep a callback. The upstream posts each callback once, and waits at least 10 s for the response. */
const RECEIVE_LIMIT_MS = 8_000;

/** A callback in the spool. Its ID has the time of its arrival. */
interface SpooledCallback {
  taskId: string;
  id: string;
  attempt: number | null;
  /** In base64, because it can be anything. */
  body: string;
}

interface ReceivedCallbacksDependencies extends Pick<Dependencies, 'log'> {
  generation: Generation;
  spool: Spool;
}

/**
 * Receives the upstream's callbacks. The upstream posts each of them once, and nothing else knows the result of an UNCONFIRMED
 * task. So while PostgreSQL is unavailable, a callback waits on the disk of this instance, and is applied when PostgreSQL
 * returns, or at the next start. The callbacks of one task are applied in the order in which this instance received them. One
 * that cannot be applied for another reason waits there as well. It is tried again with growing pauses.
 */
export class ReceivedCallbacks {
  private readonly spooled: SpoolDrain;

  constructor(private readonly deps: ReceivedCallbacksDependencies) {
    this.spooled = new SpoolDrain({
      ...deps,
      subject: 'a callback',
      apply: (callback) => this.applySpooled(callback as SpooledCallback),
    });
  }

  /**
   * Resolves when the callback is in PostgreSQL, with its verdict, or on the disk (`SPOOLED`). A body that is not a result is
   * MALFORMED in either case. If it is in neither of them after 8 s, throws DatabaseUnavailable, or CallbackNotKept when
   * PostgreSQL responds.
   */
  async receive(taskId: string, callback: RawCallback): Promise<CallbackVerdict | 'SPOOLED'> {
    const startedAt = performance.now();
    try {
      return await this.applyInOrder(taskId, callback);
    } catch (error) {
      const isOutage = error instanceof DatabaseUnavailable;
      const kept = isOutage
        ? this.keepOrApply(taskId, callback)
        : this.keepFailed({ taskId, callback, cause: error });
      const leftMs = Math.max(0, RECEIVE_LIMIT_MS - (performance.now() - startedAt));
      const verdict = await withTimeout(kept, leftMs);
      // What is in progress goes on. It may still keep the callback, and another post of it then changes nothing.
      if (verdict === TIMED_OUT) throw isOutage ? error : new CallbackNotKept(error);
      return verdict;
    }
  }

  get spoolState(): SpoolState {
    return this.spooled.state;
  }

  /** Finds the callbacks that an earlier process left, so that later ones of the same tasks are applied after them. */
  load(): Promise<void> {
    return this.spooled.load();
  }

  /** Resolves when all callbacks in the spool are applied, or PostgreSQL is away. They are then tried again until `stop`. */
  applyWaiting(): Promise<void> {
    return this.spooled.applyWaiting();
  }

  stop(): Promise<void> {
    return this.spooled.stop();
  }

  /** Throws DatabaseUnavailable also while callbacks of the task wait that were acknowledged earlier. */
  private async applyInOrder(taskId: string, callback: RawCallback): Promise<CallbackVerdict> {
    if (this.spooled.isWaiting(taskId)) throw new DatabaseUnavailable();
    const verdict = await this.deps.generation.receiveCallback(taskId, callback);
    this.spooled.noteApplied();
    return verdict;
  }

  /** Whichever works first, because the disk may be full or never answer. If both work, the second one changes nothing. */
  private async keepOrApply(taskId: string, callback: RawCallback): Promise<CallbackVerdict | 'SPOOLED'> {
    const { generation, log } = this.deps;
    let isKept = false;
    let apply = () => this.applyInOrder(taskId, callback);
    const kept = this.keep(taskId, callback).then(
      (verdict) => {
        isKept = true;
        return verdict;
      },
      (error: unknown) => {
        log.error({ err: error, taskId }, 'a callback could not be written to the spool');
        // Better out of order than lost.
        apply = () => generation.receiveCallback(taskId, callback);
        throw error;
      },
    );
    const applied = retryUntilDatabaseReturns(() => (isKept ? kept : apply()), log, RECEIVE_LIMIT_MS);
    return Promise.any([kept, applied]).catch(() =>
      applied.catch((error: unknown) => {
        throw error instanceof DatabaseUnavailable ? error : new CallbackNotKept(error);
      }),
    );
  }

  /** Resolves when the callback is on the disk. */
  private async keep(taskId: string, callback: RawCallback): Promise<'SPOOLED' | 'MALFORMED'> {
    const { generation, log } = this.deps;
    const { name, value } = toSpooled(taskId, callback);
    await this.spooled.keep(name, value);
    crashIfArmed('callback-spooled');
    log.warn({ taskId }, 'PostgreSQL is unavailable; a callback waits in the spool');
    return generation.parseResult(callback.body) ? 'SPOOLED' : 'MALFORMED';
  }

  /** The same for a callback that could not be applied although PostgreSQL responds. Other callbacks do not wait for it. */
  private async keepFailed(failed: {
    taskId: string;
    callback: RawCallback;
    cause: unknown;
  }): Promise<'SPOOLED' | 'MALFORMED'> {
    const { taskId, callback, cause } = failed;
    const { generation, log } = this.deps;
    const { name, value } = toSpooled(taskId, callback);
    try {
      await this.spooled.keepFailed(name, value, cause);
    } catch (error) {
      log.error({ err: error, taskId }, 'a callback could not be written to the spool');
      throw new CallbackNotKept(cause);
    }
    return generation.parseResult(callback.body) ? 'SPOOLED' : 'MALFORMED';
  }

  private async applySpooled({ taskId, id, attempt, body }: SpooledCallback): Promise<void> {
    await this.deps.generation.receiveCallback(taskId, { id, attempt, body: Buffer.from(body, 'base64') });
  }
}

function toSpooled(taskId: string, { id, attempt, body }: RawCallback) {
  const value: SpooledCallback = { taskId, id, attempt, body: Buffer.from(body).toString('base64') };
  return { name: `${taskId}-${id}`, value };
}
