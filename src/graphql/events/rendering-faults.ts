import { type ExecutionResult, type GraphQLError } from 'graphql';
import { DatabaseUnavailable } from '../../core/errors.js';
import { toPublicError } from '../../core/public-error.js';
import { isArgumentError } from '../server/format-error.js';

/** How long an event waits for a fault to go away. */
export const MAX_FAULT_MS = 10_000;
/** For as long, no other event waits for a fault that did not go away. */
const GIVEN_UP_MS = 60_000;

/**
 * Decides which results of an event are sent to the subscribers of one operation. An unexpected error would take the place of
 * an event that no client gets again, so the event is rendered again. The error can be a fault of ours that never goes away, so
 * it is sent at last, and the events after it arrive.
 */
export class RenderingFaults {
  /** When the first try failed, by the positions of events that wait. Many subscribers try at the same time. */
  private readonly failedAt = new Map<bigint, number>();
  private gaveUpAt = -Infinity;

  constructor(private readonly now = () => performance.now()) {}

  /** Throws if the event must be rendered again. Waits for PostgreSQL however long it takes. */
  check(position: bigint, result: ExecutionResult): void {
    const outage = outageOf(result);
    if (outage) {
      this.failedAt.delete(position);
      throw outage;
    }
    const fault = result.errors?.filter((error) => !isArgumentError(error)).find(isUnexpected);
    const now = this.now();
    const failedAt = this.failedAt.get(position) ?? now;
    this.failedAt.delete(position);
    if (!fault) return;
    if (now - failedAt < MAX_FAULT_MS && now - this.gaveUpAt > GIVEN_UP_MS) {
      this.forgetBefore(now - GIVEN_UP_MS);
      this.failedAt.set(position, failedAt);
      throw causeOf(fault);
    }
    this.gaveUpAt = now;
  }

  /** Forgets events whose subscribers have left. */
  private forgetBefore(time: number): void {
    for (const [position, failedAt] of this.failedAt) if (failedAt < time) this.failedAt.delete(position);
  }
}

/** For a subscription an error result would be final. A thrown error lets the client reconnect. */
export function throwIfDatabaseUnavailable(result: ExecutionResult): void {
  const outage = outageOf(result);
  if (outage) throw outage;
}

function outageOf({ errors = [] }: ExecutionResult): Error | undefined {
  return errors.map(causeOf).find((cause) => cause instanceof DatabaseUnavailable);
}

function isUnexpected(error: GraphQLError): boolean {
  return !toPublicError(causeOf(error)).expected;
}

function causeOf(error: GraphQLError): Error {
  return error.originalError ?? error;
}
