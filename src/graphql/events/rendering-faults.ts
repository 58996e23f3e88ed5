import { type ExecutionResult, type GraphQLError } from 'graphql';
import { DatabaseUnavailable } from '../../core/errors.js';
import { toPublicError } from '../../core/public-error.js';

/** A topic tries four times a second (RENDER_RETRY_MS in src/event-log/topic.ts), so an event waits for about ten seconds. */
export const MAX_RENDERING_TRIES = 40;
/** For as long, no other event waits for a fault that did not go away. */
const GIVEN_UP_MS = 60_000;

/**
 * Decides which results of an event are sent to the subscribers of one operation. An unexpected error would take the place of
 * an event that no client gets again, so the event is rendered again. The error can be a fault of ours that never goes away, so
 * it is sent at last, and the events after it arrive.
 */
export class RenderingFaults {
  /** Failed tries, by the positions of events that wait. */
  private readonly tries = new Map<bigint, number>();
  private gaveUpAt = -Infinity;

  /** Throws if the event must be rendered again. Waits for PostgreSQL however long it takes. */
  check(position: bigint, result: ExecutionResult): void {
    throwIfDatabaseUnavailable(result);
    const fault = result.errors?.map(causeOf).find((cause) => !toPublicError(cause).expected);
    const tries = (this.tries.get(position) ?? 0) + 1;
    this.tries.delete(position);
    if (!fault) return;
    const now = performance.now();
    if (tries < MAX_RENDERING_TRIES && now - this.gaveUpAt > GIVEN_UP_MS) {
      this.tries.set(position, tries);
      throw fault;
    }
    this.gaveUpAt = now;
  }
}

/** For a subscription an error result would be final. A thrown error lets the client reconnect. */
export function throwIfDatabaseUnavailable({ errors = [] }: ExecutionResult): void {
  const outage = errors.map(causeOf).find((cause) => cause instanceof DatabaseUnavailable);
  if (outage) throw outage;
}

function causeOf(error: GraphQLError): Error {
  return error.originalError ?? error;
}
