/** RESULT: the result of a final task. LATE_RESULT: images that arrived after the task became final. */
export type WebhookDeliveryKind = 'RESULT' | 'LATE_RESULT';

/**
 * PENDING: due or in progress. DELIVERED: accepted by the endpoint. ABANDONED: no attempt follows unless a caller asks for a
 * redelivery.
 */
export type WebhookDeliveryStatus = 'PENDING' | 'DELIVERED' | 'ABANDONED';

/** A result to post to the webhook URL of its task. */
export interface WebhookDelivery {
  /** The header `webhook-id`. It is the same in every attempt. */
  id: string;
  workspaceId: string;
  taskId: string;
  kind: WebhookDeliveryKind;
  url: string;
  /** Protocol, host and port of the URL. */
  endpoint: string;
  /** The 1-based number of the current attempt, including attempts before a redelivery. */
  attemptNumber: number;
  /** The 1-based number of the current attempt since the last requested redelivery. */
  attemptSinceRedelivery: number;
  /** Failed attempts since the last requested redelivery, without interrupted ones and those that our side may have failed. */
  failures: number;
}

/** A webhook delivery as callers see it. */
export interface WebhookDeliverySummary extends Pick<
  WebhookDelivery,
  'id' | 'workspaceId' | 'taskId' | 'kind'
> {
  status: WebhookDeliveryStatus;
  createdAt: Date;
  /** Null unless the status is PENDING. While an attempt is in progress, the time when it counts as lost. */
  nextAttemptAt: Date | null;
  /** Attempts begun, including those before a redelivery. */
  attemptCount: number;
}

/** One HTTP POST of a webhook delivery. */
export interface WebhookAttempt {
  id: string;
  attemptNumber: number;
  at: Date;
  /** Null when the endpoint did not respond. Then `errorMessage` says why. */
  statusCode: number | null;
  errorMessage: string | null;
  latencyMs: number;
  /** The first kilobyte of the response. */
  responseBody: string | null;
  /** Null when no further attempt follows. */
  nextAttemptAt: Date | null;
}
