import { type Logger } from 'pino';
import { type Config } from '../config/config.js';
import { TIMED_OUT, withTimeout } from '../core/primitives/async.js';
import { type Tuning } from './tuning.js';

/** The arguments that every step of the start receives. */
export interface AppContext {
  config: Config;
  log: Logger;
  tuning: Tuning;
  cleanups: Cleanups;
  /** The local URL at which the service listens, without a trailing slash. */
  url: string;
}

/** Functions that release what was started, in the order of starting. */
export type Cleanups = (() => Promise<unknown> | void)[];

/**
 * PostgreSQL may be down or unresponsive during a shutdown, so each cleanup that queries it has a timeout. All timeouts,
 * the 6 s for running jobs and the 3.5 s for sockets together stay below the 15 s after which main.ts forces the exit.
 */
export const CLEANUP_TIMEOUT_MS = 1_000;
export const WORKER_STOP_TIMEOUT_MS = 7_000;

/** Waits for `stopping`. Rejects after `timeoutMs`, without cancelling it. `name` identifies it in the message. */
export async function stopWithin(timeoutMs: number, name: string, stopping: Promise<unknown>): Promise<void> {
  if ((await withTimeout(stopping, timeoutMs)) === TIMED_OUT)
    throw new Error(`Stopping ${name} took longer than ${timeoutMs} ms.`);
}
