import { type RunnerOptions } from 'graphile-worker';
import { DatabaseUnavailable } from '../core/errors.js';

type Pool = NonNullable<RunnerOptions['pgPool']>;
type Method = (...args: unknown[]) => unknown;

/**
 * After an error with one of these codes, graphile-worker 0.17.3 sleeps within a fetch, for 3 s at first and each time half as
 * long again, up to 2 min (RETRYABLE_ERROR_CODES in its dist/lib.js). Nothing wakes a slot that sleeps there. It also retries
 * conflicts between transactions, but those after 50 ms. test/contract/graphile-worker-internals.test.ts compares the codes.
 */
const SLOWLY_RETRIED_CODES: ReadonlySet<unknown> = new Set(['57P03', 'EHOSTUNREACH', 'ETIMEDOUT']);

/**
 * The database pool in the form that the queue gets. Errors after which graphile-worker would sleep become DatabaseUnavailable,
 * so the fetch fails, and the poller sends the slot again.
 */
export function createQueuePool(pool: Pool): Pool {
  return withMethod(pool, 'connect', async (connect) => {
    const client = await connect;
    return withMethod(client as { query: unknown }, 'query', (result) => result);
  });
}

/** The target with a method whose promises are passed through `change` and reject with other errors. */
function withMethod<Target extends object>(
  target: Target,
  name: keyof Target,
  change: (result: Promise<unknown>) => Promise<unknown>,
): Target {
  const call: Method = (...args) => {
    const result = (target[name] as Method).apply(target, args);
    // With a callback there is no promise. That is how the queue asks for the connection that listens.
    return result instanceof Promise ? change(result).catch(replaceError) : result;
  };
  return new Proxy(target, {
    get: (_, property) => (property === name ? call : (Reflect.get(target, property) as unknown)),
  });
}

function replaceError(error: unknown): never {
  const { code } = Object(error) as { code?: unknown };
  throw SLOWLY_RETRIED_CODES.has(code) ? new DatabaseUnavailable(error) : error;
}
