import { request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import { TestApp } from '../../support/app/test-app.js';

const OPERATIONS = {
  query: 'query { viewer { keyName } }',
  mutation: 'mutation { generateImages(input: { prompt: "by any method" }) { replayed task { id } } }',
  subscription: 'subscription { taskEvents { id } }',
} as const;
type OperationKind = keyof typeof OPERATIONS;

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'QUERY'] as const;
const PATHS = ['/graphql', '/graphql/', '/GraphQL', '/graphql/stream', '/graphql/stream/', '/GraphQL/Stream'];
/** Where an HTTP request can carry its operation. */
const PLACES = ['in the query string', 'in the body', 'in both'] as const;
/** Headers by which a proxy or a framework may take another method for the one that was sent. */
const OVERRIDES: Record<string, string>[] = [
  {},
  { 'x-http-method-override': 'POST' },
  { 'x-http-method': 'POST', 'x-method-override': 'POST' },
];

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ environment: { ROLES: 'api' } });
});
afterAll(() => app.stop());

interface Walk {
  method: string;
  path: string;
  kind: OperationKind;
  place: (typeof PLACES)[number];
  headers?: Record<string, string>;
}

/** Sends an operation and returns the status once the first bytes of the body are there, or the response has ended. */
function send({ method, path, kind, place, headers = {} }: Walk): Promise<{ status: number; text: string }> {
  const query = OPERATIONS[kind];
  const search = place === 'in the body' ? '' : `?query=${encodeURIComponent(query)}`;
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(`${app.url}${path}${search}`, {
      method,
      agent: false,
      headers: {
        authorization: `Bearer ${app.apiKey}`,
        'content-type': 'application/json',
        ...headers,
      },
    });
    outgoing.on('error', reject).on('response', (response) => {
      let text = '';
      const finish = () => {
        resolve({ status: response.statusCode ?? 0, text });
        response.destroy();
      };
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (kind === 'subscription') finish();
      });
      response.on('end', finish).on('error', () => undefined);
    });
    outgoing.end(place === 'in the query string' ? undefined : JSON.stringify({ query }));
  });
}

const countTasks = async () =>
  Number((await app.rows<{ n: string }>('SELECT count(*) AS n FROM tasks'))[0]?.n);

describe.each(PATHS)('over HTTP at %s', (path) => {
  // A stream refuses parameters that have no effect.
  const executed = /stream/i.test(path) ? ['POST in the body'] : ['POST in the body', 'POST in both'];

  test('a mutation is executed if it is in the body of a POST, and changes nothing by any other method', async () => {
    const executedBy = new Set<string>();
    for (const method of METHODS)
      for (const place of PLACES)
        for (const headers of OVERRIDES) {
          const before = await countTasks();
          const { status } = await send({ method, path, kind: 'mutation', place, headers });
          const created = (await countTasks()) - before;
          if (created > 0) executedBy.add(`${method} ${place}`);
          expect({ method, place, headers, created, isOk: status === 200 }).toEqual({
            ...{ method, place, headers },
            created: executed.includes(`${method} ${place}`) ? 1 : 0,
            isOk: executed.includes(`${method} ${place}`),
          });
        }
    expect([...executedBy]).toEqual(executed);
  });

  test('a query is executed by GET and by POST', async () => {
    const statuses = [];
    for (const [method, place] of [
      ['GET', 'in the query string'],
      ['POST', 'in the body'],
    ] as const) {
      const { status, text } = await send({ method, path, kind: 'query', place });
      expect(text).toContain('"keyName"');
      statuses.push(status);
    }
    expect(statuses).toEqual([200, 200]);
  });

  test('the Idempotency-Key header makes a repeated mutation the same task', async () => {
    const before = await countTasks();
    const headers = { 'idempotency-key': `for ${path}` };
    const texts = [];
    for (let n = 0; n < 3; n += 1)
      texts.push(
        (await send({ method: 'POST', path, kind: 'mutation', place: 'in the body', headers })).text,
      );
    expect(texts.map((text) => /"replayed":(\w+)/.exec(text)?.[1])).toEqual(['false', 'true', 'true']);
    expect(new Set(texts.map((text) => /"id":"([^"]+)"/.exec(text)?.[1])).size).toBe(1);
    expect(await countTasks()).toBe(before + 1);
  });
});

test('a mutation sent to /graphql/stream has the ID of its request as trace ID', async () => {
  const response = await app.postBody(
    '/graphql/stream',
    { query: OPERATIONS.mutation },
    { authorization: `Bearer ${app.apiKey}` },
  );
  const id = /"id":"([^"]+)"/.exec(response.bytes.toString())?.[1];
  const [task] = await app.rows<{ trace_id: string }>('SELECT trace_id FROM tasks WHERE id = $1', [id]);
  expect(task?.trace_id).toBe(response.headers['x-request-id']);
});

test('a subscription at /graphql/stream is accepted by GET and by POST', async () => {
  for (const [method, place] of [
    ['GET', 'in the query string'],
    ['POST', 'in the body'],
  ] as const) {
    const { status } = await send({ method, path: '/graphql/stream', kind: 'subscription', place });
    expect({ method, status }).toEqual({ method, status: 200 });
  }
});

test('a mutation over WebSocket is executed once, although the upgrade is a GET', async () => {
  const before = await countTasks();
  const query = encodeURIComponent(OPERATIONS.mutation);
  const client = createClient({
    url: `${app.url.replace(/^http/, 'ws')}/graphql?query=${query}`,
    webSocketImpl: WebSocket,
    connectionParams: { authorization: `Bearer ${app.apiKey}` },
  });
  await new Promise<void>((resolve, reject) => {
    client.subscribe(
      { query: OPERATIONS.mutation },
      { next: () => undefined, error: reject, complete: resolve },
    );
  });
  await client.dispose();
  expect(await countTasks()).toBe(before + 1);
});
