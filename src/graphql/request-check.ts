import { BadRequest } from '../core/errors.js';
import { asGraphqlError, type Operations } from './operations.js';
import { type PersistedQueries } from './persisted-queries.js';
import { refuseAbove } from './query-limits.js';

/** What a request over HTTP comes to, all of its operations together. */
export interface RequestTotals {
  cost: number;
  generations: number;
}

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
   * Throws what Apollo answers with as it is. A request that is wrong in another way than being too much passes: Apollo
   * says what is wrong with it.
   */
  check({ method, search, body }: Asked): RequestTotals {
    const asked =
      method === 'GET' ? [parametersOf(search)] : Array.isArray(body) ? (body as unknown[]) : [body];
    if (this.operationsPerRequest > 1 && asked.length > this.operationsPerRequest) {
      throw asGraphqlError(
        new BadRequest(
          `This request has ${asked.length} operations; ${this.operationsPerRequest} are allowed. Send several requests.`,
        ),
      );
    }
    const totals = { cost: 0, generations: 0 };
    for (const one of asked) {
      const { cost, generations } = this.checkOne(one);
      totals.cost += cost;
      totals.generations += generations;
    }
    try {
      refuseAbove(this.operations.rules.limits.cost, totals.cost, 'of cost');
    } catch (error) {
      throw asGraphqlError(error);
    }
    return totals;
  }

  private checkOne(asked: unknown): RequestTotals {
    const { query, operationName, variables, extensions } = Object(asked) as Record<string, unknown>;
    const text = query ?? this.persisted.textOf(extensions);
    if (typeof text !== 'string' || text === '' || !isRecord(variables)) return NOTHING;
    const name = typeof operationName === 'string' ? operationName : null;
    const prepared = this.operations.prepare({ query: text, operationName: name, variables });
    if (!('errors' in prepared)) return prepared;
    const [tooComplex] = prepared.errors.filter(({ extensions: { code } }) => code === 'QUERY_TOO_COMPLEX');
    if (tooComplex) throw tooComplex;
    return NOTHING;
  }
}

const NOTHING: RequestTotals = { cost: 0, generations: 0 };

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
