/** RESULT: how a task ended. LATE_RESULT: pictures that came after that. */
export const OUTGOING_CALLBACK_KINDS = ['RESULT', 'LATE_RESULT'] as const;
export type OutgoingCallbackKind = (typeof OUTGOING_CALLBACK_KINDS)[number];

/** A result that is to be posted to the callback URL of its task. */
export interface OutgoingCallback {
  /** The `webhook-id`: the same in every attempt. */
  id: string;
  workspaceId: string;
  taskId: string;
  kind: OutgoingCallbackKind;
  url: string;
  /** Protocol, host and port of the URL. */
  receiver: string;
  /** The attempt under way, from 1, over all rounds. */
  attempt: number;
  /** The same within this round: somebody can ask for another one. */
  attemptOfRound: number;
}

/** One attempt to deliver a callback. */
export interface Delivery {
  id: string;
  /** Of the callback; the header `webhook-id`. */
  webhookId: string;
  taskId: string;
  attempt: number;
  at: Date;
  /** Null when nobody answered; then `failure` says why. */
  statusCode: number | null;
  failure: string | null;
  latencyMs: number;
  /** The first kilobyte of what was answered. */
  answer: string | null;
  /** Null when there is none. */
  nextAttemptAt: Date | null;
}
