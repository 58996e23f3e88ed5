/**
 * A process that runs jobs and records when each starts, for job-start.ts. `[ours, database url]` runs them with Darkroom's worker
 * and event log, wired as the service does. `[floor, database url]` runs them with graphile-worker as it ships.
 */
import { run } from 'graphile-worker';
import { pino } from 'pino';
import { EventLog } from '../src/event-log/event-log.js';
import { EventRepository } from '../src/db/events/event-repository.js';
import { Database } from '../src/db/postgres/database.js';
import { InstanceRepository } from '../src/db/instances/instance-repository.js';
import { Heartbeat } from '../src/queue/heartbeat.js';
import { type JobHandlers } from '../src/queue/job-runs.js';
import { queueLogger } from '../src/queue/run-queue.js';
import { Worker } from '../src/queue/worker.js';
import { helperArgs, serveCommands } from './support/helper.js';

/** Asks for the starts since the last command. */
export type JobStartCommand = Record<string, never>;
/** Milliseconds since the epoch, by task ID. */
export type JobStarts = Record<string, number>;

const CONCURRENCY = 42;
const log = pino({ level: 'warn' });
const [side, url = ''] = helperArgs();

let starts: JobStarts = {};
const record = (payload: unknown) => {
  starts[(payload as { taskId: string }).taskId] = Date.now();
  return Promise.resolve();
};

if (side === 'ours') {
  const db = new Database({ url, maxConnections: 20, log });
  const instances = new InstanceRepository(db);
  const worker = new Worker({
    heartbeat: new Heartbeat(instances, log),
    instances,
    pool: db.pool,
    handlers: { 'submit-task': record } as unknown as JobHandlers,
    recurringIntervalsMs: {},
    forbiddenFlags: () => [],
    concurrency: CONCURRENCY,
    log,
  });
  const eventLog = new EventLog(new EventRepository(db), url, log);
  await eventLog.start();
  eventLog.setAdvanceListener(() => worker.lookForJobs());
  await worker.start();
} else {
  await run({
    connectionString: url,
    taskList: { 'submit-task': record },
    concurrency: CONCURRENCY,
    maxPoolSize: 20,
    logger: queueLogger(log),
    noHandleSignals: true,
  });
}
serveCommands<JobStartCommand, JobStarts>(() => {
  const taken = starts;
  starts = {};
  return Promise.resolve(taken);
});
