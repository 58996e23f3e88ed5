import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { print } from 'graphql';
import { type Client } from 'graphql-ws';
import { TaskUpdatedDocument } from '../../../clients/operations.js';
import { TestApp, typesOf } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspace } from '../../support/access/workspaces.js';

let database: TestDatabase;
let proxy: TcpProxy;
let app: TestApp;
beforeAll(async () => {
  // The queue prints a trace of its own when a connection is lost, past every logger.
  jest.spyOn(console, 'trace').mockImplementation(() => undefined);
  database = await createTestDatabase();
  const before = await TcpProxy.before(database.url);
  proxy = before.proxy;
  app = await TestApp.start({ databaseUrl: before.url });
});
afterAll(async () => {
  await proxy.restore().catch(() => undefined);
  await app.stop();
  await proxy.cut();
  await database.drop();
});

/** What an operation ends with: its GraphQL errors, or how the socket was closed. Null when it completes. */
function endOf(client: Client, query: string, variables: Record<string, unknown> = {}): Promise<unknown> {
  return new Promise((resolve) => {
    client.subscribe(
      { query, variables },
      { next: () => undefined, error: resolve, complete: () => resolve(null) },
    );
  });
}

describe('a document that is wrong, over WebSocket', () => {
  test.each([
    ['a syntax error', 'subscription { taskUpdated(id: ', 'GRAPHQL_PARSE_FAILED', 1],
    ['nothing in it', '', 'GRAPHQL_PARSE_FAILED', 1],
    ['an unknown field', '{ nothing }', 'GRAPHQL_VALIDATION_FAILED', 1],
    [
      'two unknown fields',
      'subscription { nothing } query q { neither }',
      'GRAPHQL_VALIDATION_FAILED',
      undefined,
    ],
    ['a missing argument', 'subscription { taskUpdated { id } }', 'GRAPHQL_VALIDATION_FAILED', 1],
  ])('with %s ends its own operation and no other', async (_what, query, code, count) => {
    const { id, cursor } = await app.generate({ prompt: 'watched meanwhile [sandbox: delay=400ms]' });
    const client = app.connectSockets(app.key);
    let sockets = 0;
    client.on('opened', () => (sockets += 1));
    const watch = app.watch(TaskUpdatedDocument, { id, after: cursor }, client);
    await waitFor('the first event', () => watch.received.length > 0);

    const errors = (await endOf(client, query)) as { message: string; extensions: { code: string } }[];
    expect(Array.isArray(errors)).toBe(true);
    expect(errors.length).toBeGreaterThanOrEqual(1);
    if (count !== undefined) expect(errors).toHaveLength(count);
    for (const error of errors) {
      expect(error.extensions).toEqual({ code });
      expect(error.message).toMatch(/^[A-Z].*\.$/s);
      expect(error).not.toHaveProperty('stack');
    }

    await watch.ended;
    expect(typesOf(watch.received.map((data) => data.taskUpdated))).toEqual([
      'TASK_REQUESTED',
      'TASK_SUBMITTED',
      'TASK_SUCCEEDED',
      'IMAGE_STORED',
    ]);
    expect(sockets).toBe(1);
    await client.dispose();
  });

  test('has the same code over HTTP', async () => {
    const codeOf = async (query: string) => {
      const { json } = await app.send('/graphql', { query }, { authorization: `Bearer ${app.key}` });
      return (json as { errors: { extensions: { code: string } }[] }).errors.map(
        ({ extensions }) => extensions.code,
      );
    };
    await expect(codeOf('{ nothing')).resolves.toEqual(['GRAPHQL_PARSE_FAILED']);
    await expect(codeOf('{ nothing }')).resolves.toEqual(['GRAPHQL_VALIDATION_FAILED']);
  });
});

describe('connection_init', () => {
  test('while Postgres is away closes the socket with 1013, and works when it is back', async () => {
    // A key that nobody has used: one that is remembered needs no Postgres.
    const key = await addWorkspace(app);
    await proxy.cut();
    const early = app.connectSockets(key);
    const closed = await endOf(early, '{ viewer { keyName } }');
    expect(closed).toMatchObject({ code: 1013, reason: 'Try again later' });
    await early.dispose();

    await proxy.restore();
    await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200);
    const later = app.connectSockets(key);
    await expect(endOf(later, '{ viewer { keyName } }')).resolves.toBeNull();
    await later.dispose();
  });

  test('a subscription that begins while Postgres is away closes the socket with 1013, not with an answer', async () => {
    const { id } = await app.generate({ prompt: 'begun too early [sandbox: delay=600s]' });
    await app.task(id); // now the key is remembered
    await proxy.cut();
    const client = app.connectSockets(app.key);
    const end = await endOf(client, print(TaskUpdatedDocument), { id });
    expect(end).toMatchObject({ code: 1013 });
    await client.dispose();
    const stream = await app.send(
      '/graphql/stream',
      { query: print(TaskUpdatedDocument), variables: { id } },
      { authorization: `Bearer ${app.key}` },
    );
    expect(stream.status).toBe(503);
    await proxy.restore();
    await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200);
  });

  test('with a wrong key closes the socket with 4403', async () => {
    const client = app.connectSockets('dk_wrong');
    await expect(endOf(client, '{ viewer { keyName } }')).resolves.toMatchObject({ code: 4403 });
    await client.dispose();
  });
});
