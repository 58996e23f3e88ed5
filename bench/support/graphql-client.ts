import { Pool } from 'undici';

export interface GraphqlResult {
  data?: unknown;
  errors?: { message: string }[];
}

/** A service that does not answer for this long ends the benchmark. */
const TIMEOUT_MS = 30_000;

/** A minimal GraphQL client: keep-alive connections with one request at a time on each, and no cache. */
export class GraphqlClient {
  private readonly pool: Pool;
  private readonly headers: Record<string, string>;

  constructor(url: string, apiKey: string, connections: number) {
    this.pool = new Pool(url, { connections, pipelining: 1, headersTimeout: TIMEOUT_MS });
    this.headers = { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` };
  }

  /** Returns the data of the response. Throws on any error, because failures must not be measured. */
  async query<Data>(query: string, variables: object): Promise<Data> {
    const { statusCode, body } = await this.pool.request({
      path: '/graphql',
      method: 'POST',
      headers: this.headers,
      body: JSON.stringify({ query, variables }),
    });
    const result = (await body.json()) as GraphqlResult;
    const [error] = result.errors ?? [];
    if (statusCode !== 200 || error)
      throw new Error(
        `The request failed with status ${statusCode}: ${error?.message ?? 'no error message'}`,
      );
    return result.data as Data;
  }

  async close(): Promise<void> {
    await this.pool.close();
  }
}
