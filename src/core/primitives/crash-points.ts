/**
 * The places where dying hurts most, each with the race that it opens. Tests arm one and the process kills itself there;
 * in production nothing is armed and passing a point costs one comparison.
 */
export const CRASH_POINTS = {
  'submitting-saved': 'The task says SUBMITTING and nothing has left: whoever comes next cannot know that.',
  'reply-read': 'The upstream has accepted and will bill, and only this process knows its id of the task.',
  'result-waited-for': 'In the mode wait the pictures are in this process alone.',
  'callback-read': 'The upstream has posted its only copy of the result, and nothing is written yet.',
  'callback-kept': 'The result is committed, and the upstream has no answer: it may post again.',
  'delivery-answered': 'The receiver has taken the callback, and no row says so: it is posted again.',
  'picture-downloaded': 'The bytes are in memory, and the link may be dead by the next try.',
  'picture-put': 'The bytes are in the store, and no row knows of them.',
} as const;
export type CrashPoint = keyof typeof CRASH_POINTS;

let armed: CrashPoint | null = null;

/** From now on the process dies, as by SIGKILL, when it passes this point. For tests alone. */
export function armCrashPoint(point: CrashPoint): void {
  armed = point;
}

/** A place where the process dies if the point is armed. */
export function crashPoint(point: CrashPoint): void {
  if (point === armed) process.kill(process.pid, 'SIGKILL');
}
