import { setTimeout as pause } from 'node:timers/promises';
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
 *
 * PostgreSQL answers when a bare client that connects like an instance gets a commit. When these answers came is also the floor
 * of every recovery: no service can be back earlier than they are.
 */
export class DeafnessMeter {
  /** In seconds. */
  max = 0;
  /** When the longest time ended, in Unix milliseconds. */
  maxAt: number | null = null;
  /** When PostgreSQL answered, in Unix milliseconds. */
  readonly answerTimes: number[] = [];

  constructor(private readonly postgres: ChaosPostgres) {}

  /** Measures until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await this.postgres.prepareProbe();
    let lastSeenAt = Date.now();
    let answeringSince: number | null = null;
    while (!signal.aborted) {
      const startedAt = Date.now();
      if (await this.postgres.probe()) {
        answeringSince ??= startedAt;
        this.answerTimes.push(Date.now());
        const rows = await this.postgres
          .queryOnce<{ seconds: number }>(SECONDS_SINCE_LAST_RUN)
          .catch(() => null);
        const now = Date.now();
        const row = rows?.[0];
        if (row) lastSeenAt = now;
        const idleSeconds = row ? row.seconds - INTERVAL_SECONDS : (now - lastSeenAt) / 1_000;
        if (rows) this.add(Math.min(idleSeconds, (now - answeringSince) / 1_000), now);
      } else {
        answeringSince = null;
        lastSeenAt = Date.now();
      }
      await pause(SAMPLE_INTERVAL_MS);
    }
  }

  private add(seconds: number, at: number): void {
    if (seconds <= this.max) return;
    this.max = seconds;
    this.maxAt = at;
  }
}
