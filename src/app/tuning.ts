/** Settings for tests, benchmarks and the demo that are not part of the operator's configuration. */
export interface Tuning {
  /** How long after submission a running task is first read at the upstream. Default: 8 s. */
  readUpstreamAfterMs?: number;
  /** The interval of looking for overdue tasks, unanswered tasks and due webhook deliveries. Default: 1 s. */
  reconcileIntervalMs?: number;
  /** How long the sandbox takes for an image. Default: 1.5 s. */
  sandboxDelayMs?: number;
  /** The delays between the attempts of a webhook delivery. Default: seven, from 5 s to 10 h. */
  webhookRetryDelaysMs?: readonly number[];
  /** How long an endpoint may take to respond to a webhook. Default: 15 s. */
  webhookTimeoutMs?: number;
  /** The interval of deleting bytes that no image uses. Default: 1 min. */
  unusedBlobIntervalMs?: number;
  /** How long a subscriber's network may accept nothing before the connection is closed. Default: 30 s. */
  stallTimeoutMs?: number;
  /** How long a held request of the Flux API waits for its result. Default: slightly less than 5 min. */
  fluxHoldTimeoutMs?: number;
  /** The minimum time between two lookups of unknown keys at the identity provider. Default: 10 s. */
  jwksCooldownMs?: number;
  /** How long failed authentications are counted before an audit entry is written. Default: 1 min. */
  authenticationFailureWindowMs?: number;
  /** The window of the limits per minute. Default: 1 min. */
  rateLimitWindowMs?: number;
  /** How long the connection slots of a dead instance count. Default: 10 s. A lease is renewed five times in this period. */
  connectionLeaseMs?: number;
  /** How many callbacks the disk may hold during an outage. Default: 10,000. */
  maxSpooledCallbacks?: number;
  /** How long a usage report may take. Default: 30 s. */
  usageTimeoutMs?: number;
  /** False disables sealing and pushing events, to measure what pushing costs. */
  push?: false;
  /** False lets the embedded PostgreSQL commit without waiting for the disk. */
  durable?: boolean;
  /** Called when the service cannot work any more: the embedded PostgreSQL has exited, or the queue makes no progress. */
  onFatal?: (reason: string) => void;
}
