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

/** Whether the upstream could be reached at all; what it answered does not matter here. `not-tried`: nothing was sent. */
export type Reach = 'reached' | 'unreachable' | 'not-tried';

/** So many requests in a row could not be sent before the upstream is taken for down. */
const FAILURES_TO_OPEN = 5;
/** How long it is left alone before one request probes it. */
export const PROBE_AFTER_MS = 3_000;

/** How the gate stands: `open` lets nothing through, `half-open` one probe, `closed` everything. The breaker's words. */
export interface GateState {
  breaker: 'closed' | 'open' | 'half-open';
  inFlight: number;
  limit: number;
}

/**
 * Keeps this instance from asking too much of the upstream: at most `limit` requests at once, and none while it is down.
 * The queue looks at `isShut` before it takes work, so that tasks wait as QUEUED and not here.
 */
export class UpstreamGate {
  private readonly breaker: CircuitBreakerPolicy = circuitBreaker(
    // A probe that was not sent, or that threw, has shown nothing: then the upstream is still taken for down.
    handleWhenResult(
      (result) => result === ('unreachable' satisfies Reach) || (result !== 'reached' && this.isProbing),
    ).orWhen(() => this.isProbing),
    { halfOpenAfter: PROBE_AFTER_MS, breaker: new ConsecutiveBreaker(FAILURES_TO_OPEN) },
  );
  private readonly places;
  private openedAt = 0;

  constructor(
    private readonly limit: number,
    log: Logger,
  ) {
    this.places = bulkhead(limit, Infinity);
    this.breaker.onBreak(() => {
      this.openedAt = Date.now();
      log.warn({ probeAfterMs: PROBE_AFTER_MS }, 'the upstream is down: submitting is paused');
    });
    this.breaker.onReset(() => log.info('the upstream is back: submitting goes on'));
  }

  /** Does `work` when there is a place. Throws UpstreamPaused, and does not start it, while the upstream is down. */
  async run(work: () => Promise<Reach>): Promise<void> {
    try {
      await this.places.execute(() => this.breaker.execute(work));
    } catch (error) {
      throw error instanceof BrokenCircuitError ? new UpstreamPaused() : error;
    }
  }

  /** Whether work that is taken now would have to wait. */
  get isShut(): boolean {
    const isResting = this.breaker.state === CircuitState.Open && Date.now() - this.openedAt < PROBE_AFTER_MS;
    return isResting || this.isProbing || this.places.executionSlots === 0;
  }

  private get isProbing(): boolean {
    return this.breaker.state === CircuitState.HalfOpen;
  }

  get state(): GateState {
    const names = { [CircuitState.Open]: 'open', [CircuitState.HalfOpen]: 'half-open' } as const;
    const { state } = this.breaker;
    const breaker = state === CircuitState.Open || state === CircuitState.HalfOpen ? names[state] : 'closed';
    return { breaker, inFlight: this.limit - this.places.executionSlots, limit: this.limit };
  }
}
