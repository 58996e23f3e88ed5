import { afterEach, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { Database } from '../../src/db/postgres/database.js';
import { InstanceRepository } from '../../src/db/instances/instance-repository.js';
import { Heartbeat } from '../../src/queue/heartbeat.js';
import { RecurringRuns, RunTimedOut } from '../../src/queue/recurring-runs.js';
import { type JobHandlers } from '../../src/queue/job-runs.js';
import { Worker } from '../../src/queue/worker.js';
import { createTestDatabase } from '../support/setup/test-database.js';
import { waitFor } from '../support/wait-for.js';

const log = pino({ level: 'silent' });
const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

describe('a run of a recurring job that takes too long', () => {
  test('is given up, and its signal is aborted', async () => {
    const runs = new RecurringRuns();
    let wasAborted = false;
    const run = runs.run('delete-unused-blobs', 50, async (signal) => {
      await waitFor('the signal', () => signal.aborted);
      wasAborted = true;
    });
    await expect(run).rejects.toThrow(RunTimedOut);
    await waitFor('the work to end', () => wasAborted);
    await waitFor('the next run', () =>
      runs
        .run('delete-unused-blobs', 1_000, () => Promise.resolve())
        .then(
          () => true,
          () => false,
        ),
    );
  });

  test('is not started again on the same instance before its work has ended', async () => {
    const runs = new RecurringRuns();
    let started = 0;
    const hang = () => {
      started += 1;
      return new Promise<void>(() => undefined);
    };
    for (let attempt = 1; attempt <= 3; attempt += 1)
      await expect(runs.run('reconcile-tasks', 20, hang)).rejects.toThrow(RunTimedOut);
    expect(started).toBe(1);
  });

  test('does not keep another instance from the next run', async () => {
    const database = await createTestDatabase();
    stops.push(() => database.drop());
    const sql = new pg.Pool({ connectionString: database.url, max: 1 });
    stops.push(() => sql.end());
    let isHanging = false;
    await startWorker(database.url, () => {
      isHanging = true;
      return new Promise(() => undefined);
    });
    await waitFor('the run that hangs', () => isHanging);
    let runs = 0;
    await startWorker(database.url, () => {
      runs += 1;
      return Promise.resolve();
    });
    await waitFor('runs on the other instance', () => runs >= 2);
  });
});

async function startWorker(url: string, sweep: () => Promise<void>): Promise<void> {
  const db = new Database({ url, maxConnections: 5, log });
  const instances = new InstanceRepository(db);
  const worker = new Worker({
    heartbeat: new Heartbeat(instances, log),
    instances,
    pool: db.pool,
    handlers: { 'delete-unused-blobs': sweep } as unknown as JobHandlers,
    recurringIntervalsMs: { 'delete-unused-blobs': 50 },
    recurringTimeLimitsMs: { 'delete-unused-blobs': 200 },
    forbiddenFlags: () => [],
    concurrency: 2,
    log,
  });
  await worker.start();
  stops.push(async () => {
    await worker.stop();
    await db.close();
  });
}
