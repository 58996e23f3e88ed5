import { type Worker as QueueSlot, type WorkerPool } from 'graphile-worker';
import { Progress } from '../core/primitives/progress.js';

/** Finds scheduled jobs that have become due, jobs whose flag is allowed again, and jobs whose notification was lost. */
const POLL_INTERVAL_MS = 250;
/** While slots are out, the next one waits this long after the last one was sent, so fetches that hang stop nothing. */
const WAIT_FOR_SLOT_MS = 1_000;

/**
 * Sends free slots of a queue to look for jobs, besides those that have finished a job. A notification sends one for each new
 * job. And one slot looks every 250 ms, unless the last one is still out. When it finds a job, it sends the next one. So an idle
 * queue fetches four times a second at most, whatever its concurrency and however slow PostgreSQL is, and uses all its slots
 * when many jobs become due at once.
 *
 * It replaces `nudge` of graphile-worker 0.17.3, which makes every slot that is fetching fetch again. A slot begins its fetch
 * within its own `nudge`. test/contract/graphile-worker-internals.test.ts says what to check in a new version.
 */
export class Poller {
  private timer: NodeJS.Timeout | null = null;
  private readonly idle = new Set<QueueSlot>();
  /** Slots that were sent to poll and have not come back. */
  private readonly out = new Set<QueueSlot>();
  private readonly lastSent = new Progress();
  /** The last time that a slot came back with a job, so that there may be more. Null if the last one found nothing. */
  private lastFound: Progress | null = null;
  /** Whether a notification came while no slot was idle. A fetch that had begun before may not see the job. */
  private hasMissedJob = false;

  start(queue: WorkerPool): void {
    queue.nudge = (jobs) => this.notify(jobs);
    this.timer = setInterval(() => this.poll(), POLL_INTERVAL_MS);
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
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
    if (this.hasMissedJob) setImmediate(() => this.send());
  }

  private notify(jobs: number): void {
    for (let job = 0; job < jobs; job += 1)
      if (!this.wake()) {
        this.hasMissedJob = true;
        return;
      }
  }

  private poll(): void {
    const mayFindMore = (this.lastFound?.ageMs ?? Infinity) < WAIT_FOR_SLOT_MS;
    if (this.out.size === 0 || mayFindMore || this.lastSent.ageMs >= WAIT_FOR_SLOT_MS) this.send();
  }

  private send(): void {
    const slot = this.wake();
    if (!slot) return;
    this.hasMissedJob = false;
    this.out.add(slot);
    this.lastSent.record();
  }

  /** Lets one idle slot fetch. Returns it, if there is one. */
  private wake(): QueueSlot | undefined {
    const [slot] = this.idle;
    if (!slot || this.timer === null) return undefined;
    this.idle.delete(slot);
    slot.nudge();
    return slot;
  }
}
