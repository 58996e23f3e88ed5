import { OperationTypeNode } from 'graphql';
import { BadRequest } from '../../core/errors.js';
import { type OperationCache } from '../server/operation-cache.js';
import { type PersistedQueries } from '../server/apollo-caches.js';
import { assertWithinLimit } from './query-limits.js';

const SUBSCRIPTION_OVER_HTTP_MESSAGE =
  'A subscription cannot run as a single HTTP request. Send it over WebSocket to /graphql, or to /graphql/stream.';

interface UnparsedRequest {
  method: string;
  search: string;
  body: unknown;
}

/** Applies the query limits to HTTP requests before Apollo reads them. */
export class ComplexityCheck {
  constructor(
    private readonly operations: OperationCache,
    private readonly persistedQueries: PersistedQueries,
    private readonly maxOperationsPerRequest: number,
  ) {}

  /**
   * Returns the number of operations in the request. Throws QueryTooComplex or BadRequest for a request over the limits.
   * A request that is invalid in another way passes, because Apollo reports that.
   */
  checkAndCount({ method, search, body }: UnparsedRequest): number {
    const operations =
      method === 'GET' ? [parseQueryString(search)] : Array.isArray(body) ? (body as unknown[]) : [body];
    if (this.maxOperationsPerRequest > 1 && operations.length > this.maxOperationsPerRequest) {
      throw new BadRequest(
        `This request has ${operations.length} operations (limit: ${this.maxOperationsPerRequest}). Split it into several requests.`,
      );
    }
    let cost = 0;
    for (const operation of operations) cost += this.costOf(operation);
    assertWithinLimit(this.operations.policy.limits.cost, cost, 'cost points');
    return operations.length;
  }

  private costOf(operation: unknown): number {
    const { query, operationName, variables, extensions } = Object(operation) as Record<string, unknown>;
    const queryText = query ?? this.persistedQueries.findText(extensions);
    if (typeof queryText !== 'string' || queryText === '' || !isRecord(variables)) return 0;
    const name = typeof operationName === 'string' ? operationName : null;
    const prepared = this.operations.prepare({ query: queryText, operationName: name, variables });
    if ('errors' in prepared) return 0;
    if (prepared.type === OperationTypeNode.SUBSCRIPTION)
      throw new BadRequest(SUBSCRIPTION_OVER_HTTP_MESSAGE);
    return prepared.cost;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> | null | undefined {
  return value === undefined || (typeof value === 'object' && !Array.isArray(value));
}

/** Reads the operation in a query string. Apollo reports variables that are not JSON. */
function parseQueryString(search: string): Record<string, unknown> {
  const { query, operationName, ...rest } = Object.fromEntries(new URLSearchParams(search));
  return {
    query,
    operationName,
    variables: parseJsonOrUndefined(rest['variables']),
    extensions: parseJsonOrUndefined(rest['extensions']),
  };
}

function parseJsonOrUndefined(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
