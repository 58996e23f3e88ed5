import { OperationTypeNode } from 'graphql';
import { BadRequest } from '../../core/errors.js';
import { type Operations } from '../server/operations.js';
import { type PersistedQueries } from '../server/persisted-queries.js';
import { refuseAbove } from './query-limits.js';

const NO_SUBSCRIPTION =
  'A subscription has more answers than one: send it over WebSocket to /graphql, or to /graphql/stream.';

interface Asked {
  method: string;
  search: string;
  body: unknown;
}

/** Holds requests over HTTP to the limits before Apollo looks at them. */
export class RequestCheck {
  constructor(
    private readonly operations: Operations,
    private readonly persisted: PersistedQueries,
    private readonly operationsPerRequest: number,
  ) {}

  /**
   * How many operations the request has. Throws QueryTooComplex and BadRequest. A request that is wrong in another way than being too much passes: Apollo
   * says what is wrong with it.
   */
  check({ method, search, body }: Asked): number {
    const asked =
      method === 'GET' ? [parametersOf(search)] : Array.isArray(body) ? (body as unknown[]) : [body];
    if (this.operationsPerRequest > 1 && asked.length > this.operationsPerRequest) {
      throw new BadRequest(
        `This request has ${asked.length} operations; ${this.operationsPerRequest} are allowed. Send several requests.`,
      );
    }
    let cost = 0;
    for (const one of asked) cost += this.costOf(one);
    refuseAbove(this.operations.rules.limits.cost, cost, 'of cost');
    return asked.length;
  }

  private costOf(asked: unknown): number {
    const { query, operationName, variables, extensions } = Object(asked) as Record<string, unknown>;
    const text = query ?? this.persisted.textOf(extensions);
    if (typeof text !== 'string' || text === '' || !isRecord(variables)) return 0;
    const name = typeof operationName === 'string' ? operationName : null;
    const prepared = this.operations.prepare({ query: text, operationName: name, variables });
    if (!('errors' in prepared)) {
      if (prepared.type === OperationTypeNode.SUBSCRIPTION) throw new BadRequest(NO_SUBSCRIPTION);
      return prepared.cost;
    }
    const [tooComplex] = prepared.errors.filter(({ extensions: { code } }) => code === 'QUERY_TOO_COMPLEX');
    if (tooComplex) throw tooComplex;
    return 0;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> | null | undefined {
  return value === undefined || (typeof value === 'object' && !Array.isArray(value));
}

/** What an address asks for; variables that are not JSON are for Apollo to refuse. */
function parametersOf(search: string): Record<string, unknown> {
  const { query, operationName, ...rest } = Object.fromEntries(new URLSearchParams(search));
  return {
    query,
    operationName,
    variables: parsed(rest['variables']),
    extensions: parsed(rest['extensions']),
  };
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
