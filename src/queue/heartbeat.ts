import { type Logger } from 'pino';
import { type Instances } from '../db/postgres/instance-repository.js';

const BEAT_MS = 1_500;
/** Three beats were missed. With the beat that notices it, jobs of a killed process are handed back within 6 s. */
const DEAD_AFTER_MS = 4_500;

/**
 * Says every 1.5 s that this instance's queue is alive, and hands back the jobs of those that have stopped saying so.
 * The queue's own way is to wait 4 hours for a killed worker. A process that was only stopped for a while finds its jobs
 * taken over: every step of a task is a compare-and-set, so the second of the two changes nothing.
 */
export class Heartbeat {
  private timer: NodeJS.Timeout | null = null;
  private lastBeatAt = 0;

  constructor(
    private readonly instances: Instances,
    private readonly log: Logger,
  ) {}

  /** Beats for this queue from now on, and no longer for the one before. */
  start(queueId: string): void {
    this.stop();
    this.timer = setInterval(() => void this.beat(queueId), BEAT_MS);
    void this.beat(queueId);
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
  }

  /** For a queue that has ended in order. */
  async leave(queueId: string): Promise<void> {
    this.stop();
    await this.instances.leave(queueId).catch(() => undefined);
  }

  private async beat(queueId: string): Promise<void> {
    try {
      await this.instances.beat(queueId);
      const now = Date.now();
      const wasAway = now - this.lastBeatAt > DEAD_AFTER_MS;
      this.lastBeatAt = now;
      // After an outage of Postgres nobody has beaten for long: everybody gets the time to do so first.
      if (wasAway) return;
      const dead = await this.instances.handBackJobsOfDead(DEAD_AFTER_MS);
      if (dead.length > 0) this.log.warn({ dead }, 'jobs of instances that died were handed back');
    } catch (error) {
      this.log.warn({ err: error }, 'the heartbeat failed; it is tried again');
    }
  }
}
