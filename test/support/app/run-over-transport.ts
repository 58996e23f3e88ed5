import { type TestApp } from './test-app.js';

export const GRAPHQL_TRANSPORTS = [
  'HTTP',
  'HTTP as a persisted query',
  'WebSocket',
  '/graphql/stream',
] as const;
export type GraphqlTransport = (typeof GRAPHQL_TRANSPORTS)[number];

export interface ErrorSummary {
  code: unknown;
  message: string;
}

interface GraphqlOperation {
  query: string;
  variables?: Record<string, unknown>;
}

interface GraphqlResult {
  errors?: { message: string; extensions?: { code?: unknown } }[];
}

/** Runs one operation and returns the errors of its result. */
export async function errorsOverTransport(
  app: TestApp,
  transport: GraphqlTransport,
  operation: GraphqlOperation,
): Promise<ErrorSummary[]> {
  const { errors = [] } = await executeOverTransport(app, transport, operation);
  return errors.map(({ message, extensions }) => ({ message, code: extensions?.code }));
}

async function executeOverTransport(
  app: TestApp,
  transport: GraphqlTransport,
  operation: GraphqlOperation,
): Promise<GraphqlResult> {
  const headers = { authorization: `Bearer ${app.apiKey}` };
  if (transport === 'WebSocket') return overWebSocket(app, operation);
  if (transport === 'HTTP') return (await app.postBody('/graphql', operation, headers)).json as GraphqlResult;
  if (transport === 'HTTP as a persisted query') return overPersistedQuery(app, operation, headers);
  const { json, bytes } = await app.postBody('/graphql/stream', operation, headers);
  if (json) return json;
  const [, result] = /^event: next\ndata: (.*)$/m.exec(bytes.toString()) ?? [];
  return JSON.parse(result ?? 'null') as GraphqlResult;
}

/** Sends only the hash first, and adds the query text when the server does not know the hash, as Apollo Client does. */
async function overPersistedQuery(
  app: TestApp,
  { query, variables }: GraphqlOperation,
  headers: Record<string, string>,
) {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(query));
  const extensions = { persistedQuery: { version: 1, sha256Hash: Buffer.from(bytes).toString('hex') } };
  await app.postBody('/graphql', { query, variables: {}, extensions }, headers);
  const hashOnlyResult = (await app.postBody('/graphql', { variables, extensions }, headers))
    .json as GraphqlResult;
  if (hashOnlyResult.errors?.[0]?.extensions?.code !== 'PERSISTED_QUERY_NOT_FOUND') return hashOnlyResult;
  return (await app.postBody('/graphql', { query, variables, extensions }, headers)).json as GraphqlResult;
}

function overWebSocket(app: TestApp, operation: GraphqlOperation): Promise<GraphqlResult> {
  const client = app.createWebSocketClient(app.apiKey);
  return new Promise<GraphqlResult>((resolve, reject) => {
    let executionResult: GraphqlResult = {};
    client.subscribe(operation, {
      next: (result) => (executionResult = result as GraphqlResult),
      error: (error) =>
        Array.isArray(error)
          ? resolve({ errors: error as GraphqlResult['errors'] })
          : reject(new Error(`The WebSocket was closed: ${JSON.stringify(error)}`)),
      complete: () => resolve(executionResult),
    });
  }).finally(() => client.dispose());
}
