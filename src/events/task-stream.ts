import { type TaskEvent } from '../core/events.js';
import { type Events } from '../db/events.js';
import { type EventLog } from './log.js';

/** Events read by one replay statement. A task has about ten. */
const REPLAY_BATCH = 100;

/**
 * One task's sealed events after `position`, each once and in order, for ever: first from Postgres, then live. It starts
 * to follow before it reads, so nothing falls between the two; what comes twice at the seam is dropped by its position.
 * Ends when `signal` is aborted.
 */
export async function* streamTask(
  log: EventLog,
  events: Events,
  taskId: string,
  position: bigint,
  signal: AbortSignal,
): AsyncGenerator<TaskEvent, void, undefined> {
  const live: TaskEvent[] = [];
  let wake = () => {};
  const unfollow = log.follow(taskId, (event) => {
    live.push(event);
    wake();
  });
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    let last = position;
    for (let more = true; more && !signal.aborted;) {
      const batch = await events.readTaskAfter(taskId, last, REPLAY_BATCH);
      for (const event of batch) {
        last = event.position;
        yield event;
      }
      more = batch.length === REPLAY_BATCH;
    }
    while (!signal.aborted) {
      const event = live.shift();
      if (!event) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if (event.position > last) {
        last = event.position;
        yield event;
      }
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    unfollow();
  }
}
