/**
 * Places where a crash is most harmful, each with the state that it leaves behind. Tests arm one of them, and the
 * process then kills itself there. In production none is armed, and passing one costs a comparison.
 */
export const CRASH_POINTS = {
  'submitting-saved': 'The task is SUBMITTING, but nothing was sent. No later run can know that.',
  'response-read': 'The upstream accepted and will bill the task. Only this process knows its upstream ID.',
  'wait-result-received': 'In `wait` mode, only this process has the finished result.',
  'callback-read': 'The upstream posted its only copy of the result, and nothing is written yet.',
  'callback-saved': 'The result is committed, but the upstream has no response and may post it again.',
  'callback-spooled': 'PostgreSQL is away. The callback is on the disk, but the upstream has no response.',
  'spooled-applied':
    'What waited on the disk is committed, but its file is still there and is applied again.',
  'webhook-acknowledged': 'The endpoint accepted the webhook, but no row records it, so it is posted again.',
  'image-downloaded': 'The bytes are only in a temporary file, and the URL may be dead by the next attempt.',
  'image-bytes-stored': 'The bytes are in the store, but no row refers to them.',
} as const;
export type CrashPoint = keyof typeof CRASH_POINTS;

let armedPoint: CrashPoint | null = null;

/** Makes the process kill itself with SIGKILL when it reaches this point. For tests only. */
export function armCrashPoint(point: CrashPoint): void {
  armedPoint = point;
}

/** Kills the process when this point is armed. */
export function crashIfArmed(point: CrashPoint): void {
  if (point === armedPoint) process.kill(process.pid, 'SIGKILL');
}
