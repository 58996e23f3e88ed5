import { type Logger } from 'pino';
import { Progress } from '../core/primitives/progress.js';
import { type InstanceRepository } from '../db/instances/instance-repository.js';

const HEARTBEAT_INTERVAL_MS = 1_500;
/** Three missed heartbeats. Including the heartbeat that notices, jobs of a killed process are released within 6 s. */
const DEAD_AFTER_MS = 4_500;

/**
 * Records every 1.5 s that this instance's queue is alive, and releases the jobs of instances that have stopped doing so.
 * Graphile Worker itself waits 4 hours before it takes over a killed worker's jobs. A process that was only paused may find
 * its jobs taken over: every step of a task is a compare-and-set, so the second of the two runs changes nothing.
 */
export class Heartbeat {
  private timer: NodeJS.Timeout | null = null;
  /** The last heartbeat that PostgreSQL has recorded. */
  readonly progress = new Progress();
  private isFirst = true;

  constructor(
    private readonly instances: InstanceRepository,
    private readonly log: Logger,
  ) {}

  /** Starts sending heartbeats for this queue, and stops those for the previous one. */
  start(queueId: string): void {
    this.stop();
    this.timer = setInterval(() => void this.sendHeartbeat(queueId), HEARTBEAT_INTERVAL_MS);
    void this.sendHeartbeat(queueId);
  }

  stop(): void {
    if (this.timer) clearInterval(this.timer);
  }

  /** Removes a queue that was shut down properly. */
  async unregister(queueId: string): Promise<void> {
    this.stop();
    await this.instances.deregister(queueId).catch(() => undefined);
  }

  private async sendHeartbeat(queueId: string): Promise<void> {
    try {
      const stepMs = await this.instances.heartbeat(queueId);
      if (stepMs > 0)
        this.log.warn({ stepMs }, "PostgreSQL's clock went back; moved what is due back with it");
      const mayFollowOutage = this.isFirst || this.progress.ageMs > DEAD_AFTER_MS;
      this.isFirst = false;
      this.progress.record();
      // After a PostgreSQL outage all heartbeats are old. Give the other instances time to send one first.
      if (mayFollowOutage) return;
      const deadInstances = await this.instances.releaseJobsOfDeadInstances(DEAD_AFTER_MS);
      if (deadInstances.length > 0) this.log.warn({ deadInstances }, 'released the jobs of dead instances');
    } catch (error) {
      this.log.warn({ err: error }, 'the heartbeat failed; retrying');
    }
  }
}
