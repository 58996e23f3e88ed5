/** What tests, the demo and main set, and operators do not. */
export interface Tuning {
  /** A running task is asked about after this long; default 10 s. */
  askUpstreamAfterMs?: number;
  /** From one look for overdue and unanswered tasks, and for callbacks that are due, to the next; default 1 s. */
  reconcileEveryMs?: number;
  /** How long a sandbox picture takes; default 1.5 s. */
  sandboxDelayMs?: number;
  /** Milliseconds between the attempts to deliver a callback; default 5 s to 10 h, seven of them. */
  deliveryDelaysMs?: readonly number[];
  /** How long a receiver has for its answer; default 15 s. */
  deliveryTimeoutMs?: number;
  /** How often bytes that no image has any more are looked for; default 1 min. */
  sweepEveryMs?: number;
  /** How long the network of a watcher may take nothing before it is closed; default 30 s. */
  stallMs?: number;
  /** How long a request of the Flux API waits for its pictures; default a little less than 5 min. */
  fluxWaitMs?: number;
  /** From one look for an unknown key of the identity provider to the next; default 10 s. */
  providerCooldownMs?: number;
  /** How long failed sign-ins are counted before a row is written; default 1 min. */
  signInWindowMs?: number;
  /** What limits a minute count in; default a minute. */
  limitWindowMs?: number;
  /** How long the places of an instance that has died count; default 10 s. It says five times in that time that it lives. */
  connectionLeaseMs?: number;
  /** False: events are neither sealed nor pushed. For the bench that asks what pushing costs. */
  push?: false;
  /** False: the embedded Postgres does not wait for the disk. */
  durable?: boolean;
  /** Told when the embedded Postgres ended by itself; nothing works from then on. */
  onFailure?: (reason: string) => void;
}
