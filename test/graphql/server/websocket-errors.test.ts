import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { print } from 'graphql';
import { type Client } from 'graphql-ws';
import { TaskUpdatedDocument } from '../../../clients/operations.js';
import { TestApp, eventTypes } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { TcpProxy } from '../../support/net/tcp-proxy.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';

let database: TestDatabase;
let proxy: TcpProxy;
let app: TestApp;
beforeAll(async () => {
  // graphile-worker prints a trace to the console when it loses a connection.
  jest.spyOn(console, 'trace').mockImplementation(() => undefined);
  database = await createTestDatabase();
  const proxied = await TcpProxy.inFrontOf(database.url);
  proxy = proxied.proxy;
  app = await TestApp.start({ databaseUrl: proxied.url });
});
afterAll(async () => {
  await proxy.restore().catch(() => undefined);
  await app.stop();
  await proxy.cut();
  await database.drop();
});

/** Runs an operation and returns how it ended: its GraphQL errors, or the close event of the socket. Null if it completed. */
function endOf(client: Client, query: string, variables: Record<string, unknown> = {}): Promise<unknown> {
  return new Promise((resolve) => {
    client.subscribe(
      { query, variables },
      { next: () => undefined, error: resolve, complete: () => resolve(null) },
    );
  });
}

describe('an invalid document over WebSocket', () => {
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
  ])('with %s ends only its own operation', async (_problem, query, code, count) => {
    const { id, eventCursor } = await app.generate({
      prompt: 'subscribed to meanwhile [sandbox: delay=400ms]',
    });
    const client = app.createWebSocketClient(app.apiKey);
    let sockets = 0;
    client.on('opened', () => (sockets += 1));
    const subscription = app.openSubscription(TaskUpdatedDocument, { id, after: eventCursor }, client);
    await waitFor('the first event', () => subscription.received.length > 0);

    const errors = (await endOf(client, query)) as { message: string; extensions: { code: string } }[];
    expect(Array.isArray(errors)).toBe(true);
    expect(errors.length).toBeGreaterThanOrEqual(1);
    if (count !== undefined) expect(errors).toHaveLength(count);
    for (const error of errors) {
      expect(error.extensions).toEqual({ code });
      expect(error.message).toMatch(/^[A-Z].*\.$/s);
      expect(error).not.toHaveProperty('stack');
    }

    await subscription.ended;
    expect(eventTypes(subscription.received.map((data) => data.taskUpdated))).toEqual([
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
      const { json } = await app.postBody('/graphql', { query }, { authorization: `Bearer ${app.apiKey}` });
      return (json as { errors: { extensions: { code: string } }[] }).errors.map(
        ({ extensions }) => extensions.code,
      );
    };
    await expect(codeOf('{ nothing')).resolves.toEqual(['GRAPHQL_PARSE_FAILED']);
    await expect(codeOf('{ nothing }')).resolves.toEqual(['GRAPHQL_VALIDATION_FAILED']);
  });
});

describe('connection_init', () => {
  test('closes the socket with 1013 while PostgreSQL is unavailable, and succeeds afterwards', async () => {
    // A new API key. A cached one would be accepted without PostgreSQL.
    const key = await addWorkspaceWithKey(app);
    await proxy.cut();
    const clientDuringOutage = app.createWebSocketClient(key);
    const closeEvent = await endOf(clientDuringOutage, '{ viewer { keyName } }');
    expect(closeEvent).toMatchObject({ code: 1013, reason: 'Try again later' });
    await clientDuringOutage.dispose();

    await proxy.restore();
    await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200);
    const clientAfterwards = app.createWebSocketClient(key);
    await expect(endOf(clientAfterwards, '{ viewer { keyName } }')).resolves.toBeNull();
    await clientAfterwards.dispose();
  });

  test('is not enough for a subscription while PostgreSQL is unavailable: the socket closes with 1013, without a result', async () => {
    const { id } = await app.generate({ prompt: 'subscribed to during an outage [sandbox: delay=600s]' });
    // Caches the API key.
    await app.task(id);
    await proxy.cut();
    const client = app.createWebSocketClient(app.apiKey);
    const closeEvent = await endOf(client, print(TaskUpdatedDocument), { id });
    expect(closeEvent).toMatchObject({ code: 1013 });
    await client.dispose();
    const stream = await app.postBody(
      '/graphql/stream',
      { query: print(TaskUpdatedDocument), variables: { id } },
      { authorization: `Bearer ${app.apiKey}` },
    );
    expect(stream.status).toBe(503);
    await proxy.restore();
    await waitFor('/readyz', async () => (await app.get('/readyz')).status === 200);
  });

  test('with an invalid API key closes the socket with 4403', async () => {
    const client = app.createWebSocketClient('dk_wrong');
    await expect(endOf(client, '{ viewer { keyName } }')).resolves.toMatchObject({ code: 4403 });
    await client.dispose();
  });
});
