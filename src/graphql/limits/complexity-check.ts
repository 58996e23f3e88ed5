import { OperationTypeNode } from 'graphql';
import { BadRequest } from '../../core/errors.js';
import { type OperationCache } from '../server/operation-cache.js';
import { type HttpOperation } from '../server/request-reader.js';
import { assertWithinLimit } from './query-limits.js';

const SUBSCRIPTION_OVER_HTTP_MESSAGE =
  'A subscription cannot run as a single HTTP request. Send it over WebSocket to /graphql, or to /graphql/stream.';

/**
 * Applies the query limits to the operations of an HTTP request, which RequestReader has read. Throws QueryTooComplex or
 * BadRequest. Invalid documents pass, because Apollo reports them and runs nothing.
 */
export function checkComplexity(cache: OperationCache, operations: readonly HttpOperation[]): void {
  let cost = 0;
  for (const operation of operations) cost += costOf(cache, operation);
  assertWithinLimit(cache.policy.limits.cost, cost, 'cost points');
}

function costOf(cache: OperationCache, { query, operationName, variables }: HttpOperation): number {
  if (query === undefined) return 0;
  const prepared = cache.prepare({ query, operationName, variables });
  if ('errors' in prepared) return 0;
  if (prepared.type === OperationTypeNode.SUBSCRIPTION) throw new BadRequest(SUBSCRIPTION_OVER_HTTP_MESSAGE);
  return prepared.cost;
}
