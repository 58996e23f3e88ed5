import {
  BrokenCircuitError,
  circuitBreaker,
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  handleWhen,
} from 'cockatiel';
import { LRUCache } from 'lru-cache';
import { type Logger } from 'pino';
import { parseUrl } from '../core/primitives/url.js';
import { ProbeDelay } from './probe-delay.js';
import { RequestFailed } from './request-failed.js';

/** Consecutive requests without a complete answer in time before a host counts as silent. */
const TIMEOUTS_BEFORE_OPEN = 3;
/** How long a silent host is left alone before one request probes it. */
export const HOST_PROBE_DELAY_MS = 5_000;
/** Far more than a service uses at the same time. */
const MAX_HOSTS = 1_000;

/** A host has not answered several requests in a row, so nothing is requested from it for now. */
export class HostSilent extends Error {
  constructor() {
    super('The host does not respond.');
    this.name = new.target.name;
  }
}

/**
 * Remembers hosts that accept requests and do not answer them, because each such request waits for its whole timeout. While a host
 * is silent, one request at a time probes it.
 */
export class HostBreakers {
  private readonly breakers = new LRUCache<string, CircuitBreakerPolicy>({ max: MAX_HOSTS });

  constructor(private readonly log: Logger) {}

  /** Runs a request to the URL. Throws HostSilent without starting it while the host is silent. */
  async run<Result>(url: string, request: () => Promise<Result>): Promise<Result> {
    const breaker = this.breakerOf(parseUrl(url)?.host ?? '');
    // Cockatiel would let others wait for the probe.
    if (breaker.state === CircuitState.HalfOpen) throw new HostSilent();
    try {
      return await breaker.execute(request);
    } catch (error) {
      throw error instanceof BrokenCircuitError ? new HostSilent() : error;
    }
  }

  private breakerOf(host: string): CircuitBreakerPolicy {
    let breaker = this.breakers.get(host);
    if (!breaker) {
      breaker = circuitBreaker(
        handleWhen((error) => error instanceof RequestFailed && error.hasTimedOut),
        {
          halfOpenAfter: new ProbeDelay(HOST_PROBE_DELAY_MS),
          breaker: new ConsecutiveBreaker(TIMEOUTS_BEFORE_OPEN),
        },
      );
      breaker.onBreak(() =>
        this.log.warn({ host }, 'an image host does not respond; only one request at a time probes it'),
      );
      breaker.onReset(() => this.log.info({ host }, 'an image host responds again'));
      this.breakers.set(host, breaker);
    }
    return breaker;
  }
}
