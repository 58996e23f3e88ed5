import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { print } from 'graphql';
import { TaskByIdDocument, TasksDocument } from '../../../clients/operations.js';
import { TestApp } from '../../support/app/test-app.js';
import {
  errorsOverTransport,
  type ErrorSummary,
  GRAPHQL_TRANSPORTS,
} from '../../support/app/run-over-transport.js';
import { HOSTILE_DOCUMENTS, INTROSPECTION_QUERY } from '../../support/app/hostile-documents.js';

/** A rejection takes a millisecond or two. A busy machine needs longer, and exponential work far longer than this. */
const MAX_DURATION_MS = 5_000;

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ environment: { ROLES: 'api' } });
});
afterAll(() => app.stop());

describe.each(GRAPHQL_TRANSPORTS)('over %s', (transport) => {
  test.each(Object.keys(HOSTILE_DOCUMENTS))('a document with %s is rejected quickly', async (name) => {
    const { query, variables = {}, expectedMessage } = HOSTILE_DOCUMENTS[name] ?? { query: '' };
    const start = performance.now();
    const errors = await errorsOverTransport(app, transport, { query, variables });
    expect(performance.now() - start).toBeLessThan(MAX_DURATION_MS);
    const [{ code, message }] = errors as [ErrorSummary];
    expect({ name, code }).toEqual({
      name,
      code: expectedMessage ? 'QUERY_TOO_COMPLEX' : 'GRAPHQL_VALIDATION_FAILED',
    });
    if (expectedMessage) expect(message).toMatch(expectedMessage);
  });

  test('rejected documents have created no tasks', async () => {
    const rows = await app.rows('SELECT id FROM tasks');
    expect(rows).toEqual([]);
  });

  test('a full page of tasks, one task with all its fields, and introspection are accepted', async () => {
    for (const [query, variables] of [
      [print(TasksDocument), { first: 100 }],
      [print(TaskByIdDocument), { id: 'x' }],
      [INTROSPECTION_QUERY, {}],
    ] as const) {
      await expect(errorsOverTransport(app, transport, { query, variables })).resolves.toEqual([]);
    }
  });

  test('an accepted document is rejected with variables that make it too costly, and accepted again with others', async () => {
    const query = 'query ($n: Int!) { tasks(first: $n) { nodes { events(first: $n) { nodes { id } } } } }';
    const codes = [];
    for (const n of [1, 100, 2]) {
      const errors = await errorsOverTransport(app, transport, { query, variables: { n } });
      codes.push(errors.map(({ code }) => code));
    }
    expect(codes).toEqual([[], ['QUERY_TOO_COMPLEX'], []]);
  });
});

test('variables with 400,000 levels of nesting are rejected, and the service keeps running', async () => {
  const brackets = '['.repeat(400_000);
  const body = `{"query": "query ($v: ID!) { task(id: $v) { id } }", "variables": {"v": ${brackets}${']'.repeat(400_000)}}}`;
  const { status } = await app.postBody('/graphql', body, { authorization: `Bearer ${app.apiKey}` });
  expect(status).toBe(400);
  await expect(errorsOverTransport(app, 'HTTP', { query: '{ viewer { keyName } }' })).resolves.toEqual([]);
});

describe('INTROSPECTION=off', () => {
  let appWithoutIntrospection: TestApp;
  beforeAll(async () => {
    const environment = { ROLES: 'api', INTROSPECTION: 'off' };
    appWithoutIntrospection = await TestApp.start({ environment });
  });
  afterAll(() => appWithoutIntrospection.stop());

  test.each(GRAPHQL_TRANSPORTS)(
    'reveals nothing about the schema over %s, not even in suggestions',
    async (transport) => {
      for (const query of [
        INTROSPECTION_QUERY,
        '{ __type(name: "Task") { name } }',
        '{ viewr { keyName } }',
      ]) {
        const errors = await errorsOverTransport(appWithoutIntrospection, transport, { query });
        expect(errors.length).toBeGreaterThan(0);
        for (const { code, message } of errors) {
          expect(code).toBe('GRAPHQL_VALIDATION_FAILED');
          expect(message).not.toMatch(/Did you mean/i);
        }
      }
      await expect(
        errorsOverTransport(appWithoutIntrospection, transport, { query: '{ viewer { __typename } }' }),
      ).resolves.toEqual([]);
    },
  );
});

describe('a batch of operations', () => {
  const viewer = { query: '{ viewer { keyName } }' };
  const send = (target: TestApp, body: object) =>
    target.postBody('/graphql', body, { authorization: `Bearer ${target.apiKey}` });

  test('is rejected when OPERATIONS_PER_REQUEST is 1', async () => {
    const { status, json } = await send(app, [viewer]);
    expect({ status, json }).toMatchObject({
      status: 400,
      json: { errors: [{ extensions: { code: 'BAD_REQUEST' } }] },
    });
  });

  test('is limited in the number of operations and in the sum of their costs', async () => {
    const environment = { ROLES: 'api', OPERATIONS_PER_REQUEST: '3', QUERY_MAX_COST: '200' };
    const batching = await TestApp.start({ environment });
    try {
      const three = await send(batching, [viewer, viewer, viewer]);
      expect(three.json).toEqual([1, 2, 3].map(() => ({ data: { viewer: { keyName: 'first key' } } })));
      const four = await send(batching, [viewer, viewer, viewer, viewer]);
      expect(four.status).toBe(400);
      expect(four.json).toMatchObject({ errors: [{ extensions: { code: 'BAD_REQUEST' } }] });
      const page = { query: '{ tasks(first: 40) { nodes { id prompt } } }' };
      expect((await send(batching, [page])).status).toBe(200);
      const tooCostly = await send(batching, [page, page]);
      expect(tooCostly.json).toMatchObject({ errors: [{ extensions: { code: 'QUERY_TOO_COMPLEX' } }] });
    } finally {
      await batching.stop();
    }
  });
});
