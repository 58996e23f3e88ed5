import { EventEmitter } from 'node:events';
import {
  Logger as QueueLogger,
  run,
  type Runner,
  type RunnerOptions,
  type WorkerEvents,
} from 'graphile-worker';
import { type Logger } from 'pino';
import { type FlagSlots } from './flag-slots.js';
import { type Poller } from './poller.js';
import { createQueuePool } from './queue-pool.js';

interface QueueOptions extends Required<Pick<RunnerOptions, 'pgPool' | 'taskList' | 'concurrency'>> {
  /** Jobs with one of these flags are skipped for now. */
  forbiddenFlags: () => string[];
  /** Bounds the jobs with a flag. */
  flagSlots: FlagSlots;
  /** Runs while the queue does. */
  poller: Poller;
  /** Called with the ID under which the queue locks jobs, before it fetches any. */
  onCreated: (queueId: string) => void;
  /** Called when a free slot has asked for a job and PostgreSQL has answered. */
  onFetched: () => void;
  /** Called at the first sign that the queue gives up. */
  onGivingUp: (error: Error, runner: Runner) => void;
  log: Logger;
}

/** At shutdown, running jobs may take this long before they are released. */
const SHUTDOWN_GRACE_MS = 6_000;
/** Never: the poller sends them. The longest time that Node accepts. */
const SLOT_POLL_INTERVAL_MS = 2 ** 31 - 1;

/** Starts a queue of graphile-worker: slots that fetch jobs, run them, and record that they have finished. */
export async function runQueue(options: QueueOptions): Promise<Runner> {
  const {
    pgPool,
    poller,
    onCreated,
    onFetched,
    onGivingUp,
    forbiddenFlags,
    flagSlots,
    log,
    ...runnerOptions
  } = options;
  const events = new EventEmitter() as WorkerEvents;
  events.on('pool:create', ({ workerPool }) => {
    onCreated(workerPool.id);
    poller.start(workerPool);
  });
  events.on('pool:gracefulShutdown', () => poller.stop());
  events.on('worker:getJob:empty', onFetched);
  events.on('job:start', onFetched);
  // graphile-worker 0.17.3 emits the start of a fetch right after it has asked for the flags, and one of the others at its end.
  events.on('worker:getJob:start', ({ worker }) => {
    flagSlots.begin(worker);
    poller.begin(worker);
  });
  events.on('job:start', ({ worker }) => {
    flagSlots.end(worker);
    poller.found(worker);
  });
  for (const name of ['worker:getJob:empty', 'worker:getJob:error'] as const)
    events.on(name, ({ worker }) => {
      flagSlots.end(worker);
      poller.foundNothing(worker);
    });
  const runner = await run({
    ...runnerOptions,
    pgPool: createQueuePool(pgPool),
    forbiddenFlags: () => flagSlots.forbid(forbiddenFlags()),
    events,
    logger: queueLogger(log),
    noHandleSignals: true,
    pollInterval: SLOT_POLL_INTERVAL_MS,
    preset: {
      // Only batched writes are retried when PostgreSQL is down. Otherwise the queue ends the process.
      worker: {
        // Only a plan for the given flags uses the partial indexes, and a prepared statement gets a plan for any flags.
        preparedStatements: false,
        gracefulShutdownAbortTimeout: SHUTDOWN_GRACE_MS,
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
  });
  // React to the first sign of a shutdown: after two failed batch writes, graphile-worker 0.17.3 waits forever for its
  // last one. Its other resources, such as timers, are only released by calling stop().
  events.on('pool:gracefulShutdown', ({ message }) => {
    onGivingUp(new Error(message), runner);
    setImmediate(() => void runner.stop().catch(() => undefined));
  });
  const onEnd = (error?: unknown) => onGivingUp(new Error('The queue has ended.', { cause: error }), runner);
  runner.promise.then(() => onEnd(), onEnd);
  return runner;
}

/**
 * Drops two kinds of the queue's messages. Failed jobs are logged where they run. The advice on `maxPoolSize` is for jobs that
 * hold a database connection while they run, which these do not.
 */
export function queueLogger(log: Logger): QueueLogger {
  return new QueueLogger(() => (level, message, meta) => {
    const isRelevant =
      ['error', 'warning'].includes(level) && !(meta && 'job' in meta) && !message.includes('maxPoolSize');
    log[isRelevant ? 'warn' : 'trace']({ queue: true }, message);
  });
}
