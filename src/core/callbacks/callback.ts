/** What was made of a callback. */
export const CALLBACK_VERDICTS = [
  'APPLIED',
  'DUPLICATE',
  'EARLY',
  'LATE',
  'UNKNOWN_TASK',
  'CONFLICT',
  'MALFORMED',
] as const;
export type CallbackVerdict = (typeof CALLBACK_VERDICTS)[number];

/** A body that was posted to a task's callback link, as it came. */
export interface Callback {
  id: string;
  receivedAt: Date;
  /** Null when there is no such task. */
  workspaceId: string | null;
  taskId: string;
  verdict: CallbackVerdict;
  body: Uint8Array;
}

/** Whether this callback has brought its result in, so that there is nothing left to do with it. */
export function wasTaken(verdict: CallbackVerdict): boolean {
  return verdict === 'APPLIED' || verdict === 'EARLY' || verdict === 'LATE';
}
