import { type TestApp } from './test-app.js';

export const TRANSPORTS = ['HTTP', 'HTTP by its hash', 'WebSocket', '/graphql/stream'] as const;
export type Transport = (typeof TRANSPORTS)[number];

export interface Refusal {
  code: unknown;
  message: string;
}

interface Ask {
  query: string;
  variables?: Record<string, unknown>;
}

interface Answered {
  errors?: { message: string; extensions?: { code?: unknown } }[];
}

/** Runs one operation; the errors that it was answered with. */
export async function askOver(app: TestApp, transport: Transport, ask: Ask): Promise<Refusal[]> {
  const { errors = [] } = await answerOver(app, transport, ask);
  return errors.map(({ message, extensions }) => ({ message, code: extensions?.code }));
}

async function answerOver(app: TestApp, transport: Transport, ask: Ask): Promise<Answered> {
  const headers = { authorization: `Bearer ${app.key}` };
  if (transport === 'WebSocket') return overWebSocket(app, ask);
  if (transport === 'HTTP') return (await app.send('/graphql', ask, headers)).json as Answered;
  if (transport === 'HTTP by its hash') return byHash(app, ask, headers);
  const { json, bytes } = await app.send('/graphql/stream', ask, headers);
  if (json) return json;
  const [, result] = /^event: next\ndata: (.*)$/m.exec(bytes.toString()) ?? [];
  return JSON.parse(result ?? 'null') as Answered;
}

/** As Apollo Client does it: the hash alone, and with its text where that is not known. */
async function byHash(app: TestApp, { query, variables }: Ask, headers: Record<string, string>) {
  const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(query));
  const extensions = { persistedQuery: { version: 1, sha256Hash: Buffer.from(bytes).toString('hex') } };
  await app.send('/graphql', { query, variables: {}, extensions }, headers);
  const known = (await app.send('/graphql', { variables, extensions }, headers)).json as Answered;
  if (known.errors?.[0]?.extensions?.code !== 'PERSISTED_QUERY_NOT_FOUND') return known;
  return (await app.send('/graphql', { query, variables, extensions }, headers)).json as Answered;
}

function overWebSocket(app: TestApp, ask: Ask): Promise<Answered> {
  const client = app.connectSockets(app.key);
  return new Promise<Answered>((resolve, reject) => {
    let answer: Answered = {};
    client.subscribe(ask, {
      next: (result) => (answer = result as Answered),
      error: (error) =>
        Array.isArray(error)
          ? resolve({ errors: error as Answered['errors'] })
          : reject(new Error(`The socket ended: ${JSON.stringify(error)}`)),
      complete: () => resolve(answer),
    });
  }).finally(() => client.dispose());
}
