import { type Worker as QueueSlot, type WorkerPool } from 'graphile-worker';

/** Finds scheduled jobs that have become due, jobs whose flag is allowed again, and jobs whose notification was lost. */
const POLL_INTERVAL_MS = 250;

/**
 * Sends free slots of a queue to look for jobs, besides those that a notification wakes and those that have finished a job.
 * One slot looks every 250 ms. When it finds a job, it sends the next one. So an idle queue fetches four times a second whatever
 * its concurrency, and uses all its slots when many jobs become due at once.
 */
export class Poller {
  private timer: NodeJS.Timeout | null = null;
  private isSending = false;
  /** Slots that were sent and have not found a job yet. */
  private readonly sent = new Set<QueueSlot>();

  start(queue: WorkerPool): void {
    this.timer = setInterval(() => this.send(queue), POLL_INTERVAL_MS);
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
    this.timer = null;
  }

  /** A slot begins a fetch. graphile-worker 0.17.3 begins it within `nudge`. */
  begin(slot: QueueSlot): void {
    if (this.isSending) this.sent.add(slot);
  }

  /** The fetch of a slot has found a job. The next slot is sent when the job runs, so that its flags are counted. */
  found(slot: QueueSlot): void {
    if (this.sent.delete(slot)) setImmediate(() => this.send(slot.workerPool));
  }

  /** The fetch of a slot has failed, or found no job. */
  foundNothing(slot: QueueSlot): void {
    this.sent.delete(slot);
  }

  private send(queue: WorkerPool): void {
    if (this.timer === null) return;
    this.isSending = true;
    queue.nudge(1);
    this.isSending = false;
  }
}
