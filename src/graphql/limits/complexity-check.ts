import { OperationTypeNode } from 'graphql';
import { type Caller } from '../../core/access/caller.js';
import { BadRequest } from '../../core/errors.js';
import { type OperationCache } from '../server/operation-cache.js';
import { type HttpOperation } from '../server/request-reader.js';
import { assertWithinLimit } from './query-limits.js';

const SUBSCRIPTION_OVER_HTTP_MESSAGE =
  'A subscription cannot run as a single HTTP request. Send it over WebSocket to /graphql, or to /graphql/stream.';

interface Sender {
  caller: Caller;
  /** What OperationCache measured for all operations of the request. */
  requestBytes: number;
}

/**
 * Applies the query limits to the operations of an HTTP request, which RequestReader has read. Throws QueryTooComplex or
 * BadRequest, and RateLimited for documents that are not known. Invalid documents pass, because Apollo reports them and runs
 * nothing.
 */
export async function checkComplexity(
  cache: OperationCache,
  operations: readonly HttpOperation[],
  sender: Sender,
): Promise<void> {
  let cost = 0;
  for (const operation of operations) cost += await costOf(cache, operation, sender);
  assertWithinLimit(cache.policy.limits.cost, cost, 'cost points');
}

async function costOf(
  cache: OperationCache,
  { query, operationName, variables }: HttpOperation,
  { caller, requestBytes }: Sender,
): Promise<number> {
  if (query === undefined) return 0;
  const prepared = await cache.prepare({ query, operationName, variables }, caller, requestBytes);
  if ('errors' in prepared) return 0;
  if (prepared.type === OperationTypeNode.SUBSCRIPTION) throw new BadRequest(SUBSCRIPTION_OVER_HTTP_MESSAGE);
  return prepared.cost;
}
