import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { hashApiKey } from '../../../src/core/access/api-key.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addKey } from '../../support/access/workspaces.js';
import { type StreamEnd, openSubscriptionStream, STREAM_TRANSPORTS } from '../../support/events/streams.js';
import { addFinishedTasks, firstWorkspaceId, insertEvent } from '../../support/events/event-rows.js';

/** The promised time until every instance refuses an ended key. */
const REFUSED_WITHIN_MS = 5_000;

let one: TestApp;
let other: TestApp;
let sql: pg.Pool;
beforeAll(async () => {
  one = await TestApp.start();
  other = await TestApp.start({ databaseUrl: one.databaseUrl, apiKey: one.apiKey });
  sql = new pg.Pool({ connectionString: one.databaseUrl, max: 4 });
});
afterAll(async () => {
  await sql.end();
  await other.stop();
  await one.stop();
});

test.each([
  ['revoked', 'UPDATE api_keys SET revoked_at = now()'],
  ['expired', 'UPDATE api_keys SET expires_at = now()'],
])(
  'when a key is %s, its streams end on every instance within 5 s and it cannot open new ones',
  async (_what, statement) => {
    const workspaceId = await firstWorkspaceId(sql);
    const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
    const key = await addKey(one, workspaceId, ['tasks:read']);
    const connect = ({ url }: TestApp, ofKey = key) =>
      STREAM_TRANSPORTS.map((transport) =>
        openSubscriptionStream({ url, key: ofKey, transport, target: {} }),
      );
    const streams = [...connect(one), ...connect(other)];
    const otherStreams = connect(one, one.apiKey);
    const allStreams = [...streams, ...otherStreams];
    await waitFor('every stream to deliver an event', async () => {
      await insertEvent(sql, taskId, 'TASK_SUBMITTED');
      return allStreams.every(({ received }) => received.length > 0);
    });

    const since = Date.now();
    await sql.query(`${statement} WHERE hash = $1`, [hashApiKey(key)]);
    const endings = await Promise.all(streams.map(({ ended }) => ended));
    expect(Date.now() - since).toBeLessThan(REFUSED_WITHIN_MS);
    const expected: StreamEnd[] = [
      { code: 4403, reason: 'Forbidden' },
      { status: 200 },
      { status: 200, closing: { code: 'API_KEY_REVOKED', cursor: null } },
    ];
    expect(endings).toEqual([...expected, ...expected]);

    for (const app of [one, other]) {
      const [socket, ...http] = await Promise.all(connect(app).map(({ ended }) => ended));
      expect(socket).toEqual({ code: 4403, reason: 'Forbidden' });
      expect(http).toMatchObject([{ status: 401 }, { status: 401 }]);
    }
    await insertEvent(sql, taskId, 'TASK_SUCCEEDED');
    for (const { received } of otherStreams)
      await waitFor(
        'an event on the streams of another key',
        () => received.at(-1)?.type === 'TASK_SUCCEEDED',
      );
    for (const stream of otherStreams) stream.cut();
    expect(streams.flatMap(({ received }) => received).map(({ type }) => type)).not.toContain(
      'TASK_SUCCEEDED',
    );
  },
);

const GENERATE = 'mutation { generateImages(input: { prompt: "held back" }) { task { id } } }';

describe.each([
  ['revoked', 'UPDATE api_keys SET revoked_at = now()'],
  ['expired', 'UPDATE api_keys SET expires_at = now()'],
])('a key that is %s while the body of its request arrives', (_what, statement) => {
  test.each([
    ['/graphql', { query: GENERATE }],
    ['/graphql/stream', { query: GENERATE }],
    ['/flux/images', { action: 'generate', prompt: 'held back', async: true }],
    ['/flux/tasks', { action: 'retrieve_batch' }],
  ])('is refused at %s', async (path, content) => {
    const key = await addKey(one, await firstWorkspaceId(sql), ['tasks:read', 'tasks:write']);
    const { hostname, port } = new URL(one.url);
    const socket = connect(Number(port), hostname);
    const body = JSON.stringify(content);
    const headers = [
      `POST ${path} HTTP/1.1`,
      ...['host: x', 'connection: close', 'content-type: application/json'],
      ...[`authorization: Bearer ${key}`, `content-length: ${body.length}`],
    ];
    socket.write(`${headers.join('\r\n')}\r\n\r\n${body.slice(0, -1)}`);
    const answer = text(socket);
    const statusOfAnother = async () =>
      (await one.get('/events?types=none', { authorization: `Bearer ${key}` })).status;
    // The first request has been authenticated before.
    expect(await statusOfAnother()).toBe(400);
    await sql.query(`${statement} WHERE hash = $1`, [hashApiKey(key)]);
    await waitFor('the key to be refused', async () => (await statusOfAnother()) === 401);
    socket.write(body.slice(-1));
    expect(await answer).toMatch(/^HTTP\/1.1 401 /);
    expect((await sql.query("SELECT FROM tasks WHERE prompt = 'held back'")).rowCount).toBe(0);
  });
});

test('a cached key without open streams is refused within 5 s of being revoked', async () => {
  const key = await addKey(one, await firstWorkspaceId(sql), ['tasks:read']);
  const requestStatus = async () =>
    (await other.get('/events?taskIds=x&types=none', { authorization: `Bearer ${key}` })).status;
  expect(await requestStatus()).toBe(400);
  const since = Date.now();
  await sql.query('UPDATE api_keys SET revoked_at = now() WHERE hash = $1', [hashApiKey(key)]);
  await waitFor('the key to be refused', async () => (await requestStatus()) === 401);
  expect(Date.now() - since).toBeLessThan(REFUSED_WITHIN_MS);
});
