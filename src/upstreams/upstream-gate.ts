import {
  bulkhead,
  BrokenCircuitError,
  circuitBreaker,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  handleWhenResult,
} from 'cockatiel';
import { type Logger } from 'pino';
import { UpstreamPaused } from '../core/errors.js';
import { ProbeDelay } from '../net/probe-delay.js';

/** Whether the upstream could be reached, whatever it answered. `not-tried`: no request was made. */
export type Reachability = 'reached' | 'unreachable' | 'not-tried';

/** Consecutive requests that could not be sent before the upstream is considered down. */
const FAILURES_BEFORE_OPEN = 5;
/** How long the breaker stays open before one request probes the upstream. */
export const PROBE_DELAY_MS = 3_000;

/** How often an instance asks whether it may submit, while all instances together submit as much as they may. */
export const PACED_CLAIM_INTERVAL_MS = 500;

/**
 * State of the breaker and of the slots. As usual for circuit breakers, `open` lets nothing through, `half-open` one probe,
 * `closed` everything.
 */
export interface UpstreamGateState {
  breaker: 'closed' | 'open' | 'half-open';
  inFlight: number;
  limit: number;
}

/**
 * Limits this instance's use of the upstream: at most `limit` requests at once, and none while it is down. The queue checks
 * `isBlocked` before it takes work, so that tasks wait as QUEUED instead of in here. The limits of all instances together are
 * in PostgreSQL, and each claim of a task applies them. While they leave no room, one claim at a time asks for it.
 */
export class UpstreamGate {
  private readonly probeDelay = new ProbeDelay(PROBE_DELAY_MS);
  private readonly breaker: CircuitBreakerPolicy = circuitBreaker(
    handleWhenResult((result) => this.keepsDown(result as Reachability)).orWhen(() => this.isProbing),
    { halfOpenAfter: this.probeDelay, breaker: new ConsecutiveBreaker(FAILURES_BEFORE_OPEN) },
  );
  private readonly slots;
  /** When a claim last found no room. Null once a claim found room, or no task. */
  private pacedAt: number | null = null;
  private pendingClaims = 0;

  constructor(
    /** Requests that may be under way at the same time. */
    readonly limit: number,
    log: Logger,
  ) {
    this.slots = bulkhead(limit, Infinity);
    this.breaker.onBreak(() => {
      log.warn({ probeAfterMs: PROBE_DELAY_MS }, 'the upstream is down; pausing submissions');
    });
    this.breaker.onReset(() => log.info('the upstream is back; resuming submissions'));
  }

  /** Runs `work` when a slot is free. Throws UpstreamPaused without starting it while the upstream is down. */
  async run(work: () => Promise<Reachability>): Promise<void> {
    try {
      await this.slots.execute(() => this.breaker.execute(work));
    } catch (error) {
      throw error instanceof BrokenCircuitError ? new UpstreamPaused() : error;
    }
  }

  /**
   * Whether the breaker counts this as a failure. A probe that was not sent proves nothing, so the upstream is still considered
   * down. So does one that threw.
   */
  private keepsDown(result: Reachability): boolean {
    return result === 'unreachable' || (result === 'not-tried' && this.isProbing);
  }

  /** Claims a task within `run`, and notes whether there was room for it. */
  async claim<Claim extends { isPaused?: boolean }>(claimNext: () => Promise<Claim>): Promise<Claim> {
    this.pendingClaims += 1;
    try {
      const claim = await claimNext();
      this.pacedAt = claim.isPaused ? performance.now() : null;
      return claim;
    } finally {
      this.pendingClaims -= 1;
    }
  }

  /** Whether work started now would have to wait. */
  get isBlocked(): boolean {
    const isPaused = this.breaker.state === CircuitState.Open && !this.probeDelay.isOver;
    return isPaused || this.isProbing || this.isPaced || this.slots.executionSlots === 0;
  }

  private get isPaced(): boolean {
    if (this.pacedAt === null) return false;
    return this.pendingClaims > 0 || performance.now() - this.pacedAt < PACED_CLAIM_INTERVAL_MS;
  }

  private get isProbing(): boolean {
    return this.breaker.state === CircuitState.HalfOpen;
  }

  get state(): UpstreamGateState {
    const names = { [CircuitState.Open]: 'open', [CircuitState.HalfOpen]: 'half-open' } as const;
    const { state } = this.breaker;
    const breaker = state === CircuitState.Open || state === CircuitState.HalfOpen ? names[state] : 'closed';
    return { breaker, inFlight: this.limit - this.slots.executionSlots, limit: this.limit };
  }
}
