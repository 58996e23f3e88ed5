/** The outcomes of processing an upstream callback. */
export type CallbackVerdict =
  'APPLIED' | 'DUPLICATE' | 'EARLY' | 'LATE' | 'UNKNOWN_TASK' | 'CONFLICT' | 'MALFORMED';

/** An upstream callback: the unmodified body that was posted to a task's callback link. */
export interface Callback {
  id: string;
  receivedAt: Date;
  /** Null when the task does not exist. */
  workspaceId: string | null;
  taskId: string;
  /** The submission attempt whose link it was posted to. Null when it is unknown. */
  attempt: number | null;
  verdict: CallbackVerdict;
  body: Uint8Array;
}

/** Whether the callback's result was applied, so that a replay has nothing left to do. */
export function wasResultApplied(verdict: CallbackVerdict): boolean {
  return verdict === 'APPLIED' || verdict === 'EARLY' || verdict === 'LATE';
}
