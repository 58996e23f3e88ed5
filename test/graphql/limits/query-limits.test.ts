import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { print } from 'graphql';
import { TaskByIdDocument, TasksDocument } from '../../../clients/operations.js';
import { TestApp } from '../../support/app/test-app.js';
import { askOver, type Refusal, TRANSPORTS } from '../../support/app/run-over-transport.js';
import { HOSTILE_DOCUMENTS, INTROSPECTION_QUERY } from '../../support/app/hostile-documents.js';

/** A refusal takes a millisecond or two; a busy machine is given time, and exponential work far more than this. */
const SOON_MS = 5_000;

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ environment: { ROLES: 'api' } });
});
afterAll(() => app.stop());

describe.each(TRANSPORTS)('over %s', (transport) => {
  test.each(Object.keys(HOSTILE_DOCUMENTS))('a document with %s is refused, and soon', async (name) => {
    const { query, variables = {}, says } = HOSTILE_DOCUMENTS[name] ?? { query: '' };
    const start = performance.now();
    const errors = await askOver(app, transport, { query, variables });
    expect(performance.now() - start).toBeLessThan(SOON_MS);
    const [{ code, message }] = errors as [Refusal];
    expect({ name, code }).toEqual({ name, code: says ? 'QUERY_TOO_COMPLEX' : 'GRAPHQL_VALIDATION_FAILED' });
    if (says) expect(message).toMatch(says);
  });

  test('a refused document has written nothing', async () => {
    const rows = await app.rows('SELECT id FROM tasks');
    expect(rows).toEqual([]);
  });

  test('a whole page of tasks, a picture of everything in one, and introspection pass', async () => {
    for (const [query, variables] of [
      [print(TasksDocument), { first: 100 }],
      [print(TaskByIdDocument), { id: 'x' }],
      [INTROSPECTION_QUERY, {}],
    ] as const) {
      await expect(askOver(app, transport, { query, variables })).resolves.toEqual([]);
    }
  });

  test('a document that passed is refused with variables that make it too much, and passes again with others', async () => {
    const query = 'query ($n: Int!) { tasks(first: $n) { nodes { events(first: $n) { nodes { id } } } } }';
    const codes = [];
    for (const n of [1, 100, 2]) {
      const errors = await askOver(app, transport, { query, variables: { n } });
      codes.push(errors.map(({ code }) => code));
    }
    expect(codes).toEqual([[], ['QUERY_TOO_COMPLEX'], []]);
  });
});

test('variables with 400,000 levels are refused, however they are sent', async () => {
  const open = '['.repeat(400_000);
  const body = `{"query": "query ($v: ID!) { task(id: $v) { id } }", "variables": {"v": ${open}${']'.repeat(400_000)}}}`;
  const { status } = await app.send('/graphql', body, { authorization: `Bearer ${app.key}` });
  expect(status).toBe(400);
  await expect(askOver(app, 'HTTP', { query: '{ viewer { keyName } }' })).resolves.toEqual([]);
});

describe('INTROSPECTION=off', () => {
  let closed: TestApp;
  beforeAll(async () => {
    const environment = { ROLES: 'api', INTROSPECTION: 'off' };
    closed = await TestApp.start({ environment });
  });
  afterAll(() => closed.stop());

  test.each(TRANSPORTS)(
    'tells nothing of the schema over %s, not by suggestions either',
    async (transport) => {
      for (const query of [
        INTROSPECTION_QUERY,
        '{ __type(name: "Task") { name } }',
        '{ viewr { keyName } }',
      ]) {
        const errors = await askOver(closed, transport, { query });
        expect(errors.length).toBeGreaterThan(0);
        for (const { code, message } of errors) {
          expect(code).toBe('GRAPHQL_VALIDATION_FAILED');
          expect(message).not.toMatch(/Did you mean/i);
        }
      }
      await expect(askOver(closed, transport, { query: '{ viewer { __typename } }' })).resolves.toEqual([]);
    },
  );
});

describe('a batch', () => {
  const viewer = { query: '{ viewer { keyName } }' };
  const send = (to: TestApp, body: object) =>
    to.send('/graphql', body, { authorization: `Bearer ${to.key}` });

  test('is refused where OPERATIONS_PER_REQUEST is 1', async () => {
    const { status, json } = await send(app, [viewer]);
    expect({ status, json }).toMatchObject({
      status: 400,
      json: { errors: [{ extensions: { code: 'BAD_REQUEST' } }] },
    });
  });

  test('has as many operations as are allowed, whose costs are added up', async () => {
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
      const costly = await send(batching, [page, page]);
      expect(costly.json).toMatchObject({ errors: [{ extensions: { code: 'QUERY_TOO_COMPLEX' } }] });
    } finally {
      await batching.stop();
    }
  });
});
