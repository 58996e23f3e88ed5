import { type Worker as QueueSlot, type WorkerPool } from 'graphile-worker';
import { Progress } from '../core/primitives/progress.js';

/** Finds scheduled jobs that have become due, jobs whose flag is allowed again, and jobs that came without an event. */
const POLL_INTERVAL_MS = 250;
/** While slots are out, the next one waits this long after the last one was sent, so fetches that hang stop nothing. */
const WAIT_FOR_SLOT_MS = 1_000;
/** While fewer slots than this are out, the next one does not wait if jobs may have been added. */
const SLOTS_FOR_MISSED_JOBS = 4;

/**
 * Sends free slots of a queue to look for jobs, besides those that have finished a job. One looks whenever jobs may have been
 * added (`look`), and every 250 ms, unless the last one is still out. When it finds a job, it sends the next one. So an idle queue
 * fetches four times a second, whatever its concurrency, a slow PostgreSQL gets fewer fetches, not more, and all slots are used
 * when there are many jobs.
 *
 * It replaces `nudge` of graphile-worker 0.17.3, which makes every slot that is fetching fetch again. A slot begins its fetch
 * within its own `nudge`. test/contract/graphile-worker-internals.test.ts says what to check in a new version.
 */
export class Poller {
  private timer: NodeJS.Timeout | null = null;
  private readonly idle = new Set<QueueSlot>();
  /** Slots that were sent and have not come back. */
  private readonly out = new Set<QueueSlot>();
  private readonly lastSent = new Progress();
  /** The last time that a slot came back with a job, so that there may be more. Null if the last one found nothing. */
  private lastFound: Progress | null = null;
  /** Whether no slot was sent since jobs may have been added. A fetch that had begun before may not see them. */
  private hasMissedJobs = false;

  start(queue: WorkerPool): void {
    queue.nudge = () => this.look();
    this.timer = setInterval(() => this.poll(), POLL_INTERVAL_MS);
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
  }

  /** Sends a slot now, or as soon as the one that is out has come back. Call it when jobs may have been added. */
  look(): void {
    this.hasMissedJobs = true;
    if (this.out.size === 0) this.send();
  }

  /** A slot begins a fetch. */
  begin(slot: QueueSlot): void {
    this.idle.delete(slot);
  }

  /** The fetch of a slot has found a job. The next slot is sent when the job runs, so that its flags are counted. */
  found(slot: QueueSlot): void {
    if (!this.out.delete(slot)) return;
    this.lastFound = new Progress();
    setImmediate(() => this.send());
  }

  /** The fetch of a slot has failed, or found no job. The slot can be woken when the event has been handled. */
  foundNothing(slot: QueueSlot): void {
    this.idle.add(slot);
    if (this.out.delete(slot)) this.lastFound = null;
    if (this.hasMissedJobs && this.out.size === 0) setImmediate(() => this.send());
  }

  private poll(): void {
    const mayFindMore = (this.lastFound?.ageMs ?? Infinity) < WAIT_FOR_SLOT_MS;
    const mayHaveMissed = this.hasMissedJobs && this.out.size < SLOTS_FOR_MISSED_JOBS;
    if (this.out.size === 0 || mayFindMore || mayHaveMissed || this.lastSent.ageMs >= WAIT_FOR_SLOT_MS)
      this.send();
  }

  /** Lets one idle slot fetch, if there is one. */
  private send(): void {
    const [slot] = this.idle;
    if (!slot || this.timer === null) return;
    this.idle.delete(slot);
    this.hasMissedJobs = false;
    this.out.add(slot);
    this.lastSent.record();
    slot.nudge();
  }
}
