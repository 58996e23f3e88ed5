import { Pool } from 'undici';

export interface GraphqlAnswer {
  data?: unknown;
  errors?: { message: string }[];
}

/** A light GraphQL client: keep-alive connections, one request at a time on each, nothing cached. */
export class GraphqlClient {
  private readonly pool: Pool;
  private readonly headers: Record<string, string>;

  constructor(url: string, apiKey: string, connections: number) {
    this.pool = new Pool(url, { connections, pipelining: 1 });
    this.headers = { 'content-type': 'application/json', authorization: `Bearer ${apiKey}` };
  }

  /** The data of the answer, parsed. Throws on any error in it: a bench of failures measures nothing. */
  async query<Data>(query: string, variables: object): Promise<Data> {
    const { statusCode, body } = await this.pool.request({
      path: '/graphql',
      method: 'POST',
      headers: this.headers,
      body: JSON.stringify({ query, variables }),
    });
    const answer = (await body.json()) as GraphqlAnswer;
    const [error] = answer.errors ?? [];
    if (statusCode !== 200 || error)
      throw new Error(`Answered ${statusCode}: ${error?.message ?? 'no reason'}`);
    return answer.data as Data;
  }

  async close(): Promise<void> {
    await this.pool.close();
  }
}
