import { setTimeout as pause } from 'node:timers/promises';
import { type Fault } from './fault-plan.js';
import { findFault } from './faults/registry.js';
import { type ChaosPostgres } from './postgres.js';

const SAMPLE_INTERVAL_MS = 250;
/** This job runs once a second on any instance, and its run needs nothing but the queue. */
const JOB = 'deliver-due-webhooks';
const INTERVAL_SECONDS = 1;
/** When the job that waits or runs now was added, which is when the run before it ended. */
const SECONDS_SINCE_LAST_RUN = `
  SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 AS seconds
  FROM graphile_worker._private_jobs WHERE key = '${JOB}'`;

/**
 * Measures the longest time in which no instance ran a job although PostgreSQL answered. A service can be deaf while all of its
 * processes and their health checks look well.
 */
export class DeafnessMeter {
  /** In seconds. */
  max = 0;

  constructor(
    private readonly postgres: ChaosPostgres,
    private readonly faults: readonly Fault[],
  ) {}

  /** Measures until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    let lastSeenAt = Date.now();
    while (!signal.aborted) {
      const [row] = await this.postgres.query<{ seconds: number }>(SECONDS_SINCE_LAST_RUN).catch(() => []);
      const now = Date.now();
      const isOutage = this.faults.some((fault) => isPostgresOutage(fault) && fault.endedAt > now);
      if (row) lastSeenAt = now;
      if (!isOutage) {
        const idleSeconds = row ? row.seconds - INTERVAL_SECONDS : (now - lastSeenAt) / 1_000;
        this.max = Math.max(this.max, Math.min(idleSeconds, this.secondsSinceOutage(now)));
      }
      await pause(SAMPLE_INTERVAL_MS);
    }
  }

  private secondsSinceOutage(now: number): number {
    const ends = this.faults.filter(isPostgresOutage).map(({ endedAt }) => endedAt);
    return (now - Math.max(0, ...ends)) / 1_000;
  }
}

/** The queue needs PostgreSQL, but not the upstream. */
function isPostgresOutage({ kind }: Fault): boolean {
  return findFault(kind).outageOf === 'postgres';
}
