import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { TestApp } from '../../support/app/test-app.js';
import { openEventStream } from '../../support/events/server-sent-events.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

const bearer = () => ({ authorization: `Bearer ${app.apiKey}` });
const stream = (path: string, headers: Record<string, string> = {}) =>
  openEventStream(app.url + path, { headers: { ...bearer(), ...headers } });
const operation = (query: string, variables: object = {}, headers: Record<string, string> = {}) =>
  openEventStream(`${app.url}/graphql/stream`, {
    method: 'POST',
    headers: { ...bearer(), 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
async function currentCursor(): Promise<string> {
  return (await app.generate({ prompt: 'gives a cursor' })).eventCursor;
}

interface PlainEvent {
  id: string;
  cursor: string;
  type: string;
  at: string;
  actor: string;
  taskId: string;
  data: object;
}

describe('GET /tasks/:id/events', () => {
  test('the stream sends the latest event, then every later event with its cursor as ID, and then "complete"', async () => {
    const { id } = await app.generate({ prompt: 'a streamed cat', count: 2 });
    const events = await stream(`/tasks/${id}/events`);
    const seen = await events.readToEnd();
    expect(seen.at(-1)).toEqual({ event: 'complete', data: '' });
    const streamed = seen.slice(0, -1).map(({ data }) => JSON.parse(data ?? '') as PlainEvent);
    expect(streamed.map(({ type }) => type)).toEqual([
      expect.stringMatching(/^TASK_/),
      ...(await app.history(id)).slice(-streamed.length + 1).map(({ type }) => type),
    ]);
    const history = await app.history(id);
    for (const [index, { id: eventId, cursor, taskId, actor, at, data }] of streamed.entries()) {
      expect(seen[index]?.id).toBe(cursor);
      expect(taskId).toBe(id);
      const event = history.find((other) => other.id === eventId);
      expect({ cursor, actor, at, data }).toEqual({
        cursor: event?.cursor,
        actor: event?.actor,
        at: new Date(String(event?.at)).toISOString(),
        data: event?.data,
      });
    }
  });

  test('the stream resumes after the cursor in `after`, and Last-Event-ID takes precedence', async () => {
    const { id } = await app.generate({ prompt: 'resumed' });
    await app.waitUntilSettled(id);
    const history = await app.history(id);
    const [first, second] = history;
    const seen = await (await stream(`/tasks/${id}/events?after=${first?.cursor}`)).readToEnd();
    expect(seen.map((message) => message.id)).toEqual([
      ...history.slice(1).map(({ cursor }) => cursor),
      undefined,
    ]);
    const headers = { 'last-event-id': second?.cursor ?? '' };
    const later = await (await stream(`/tasks/${id}/events?after=${first?.cursor}`, headers)).readToEnd();
    expect(later.map((message) => message.id)).toEqual([
      ...history.slice(2).map(({ cursor }) => cursor),
      undefined,
    ]);
  });

  test('a reconnection after the last event of a settled task gets 204, so that a browser stops retrying', async () => {
    const { id } = await app.generate({ prompt: 'settled' });
    await app.waitUntilSettled(id);
    const last = (await app.history(id)).at(-1)?.cursor ?? '';
    expect((await app.get(`/tasks/${id}/events`, { ...bearer(), 'last-event-id': last })).status).toBe(204);
  });

  test('an unknown task and a task of another workspace get the same 404', async () => {
    const { id } = await app.generate({ prompt: 'private' });
    const foreignKey = await addWorkspaceWithKey(app);
    const foreign = await app.get(`/tasks/${id}/events`, { authorization: `Bearer ${foreignKey}` });
    const unknown = await app.get(`/tasks/${v7()}/events`, bearer());
    expect([foreign.status, unknown.status]).toEqual([404, 404]);
    expect(foreign.json).toEqual(unknown.json);
  });
});

describe('GET /events', () => {
  test('the stream sends all new events of the workspace in order', async () => {
    const events = await stream('/events');
    const [{ id: one }, { id: other }] = await Promise.all([
      app.generate({ prompt: 'one' }),
      app.generate({ prompt: 'another' }),
    ]);
    await Promise.all([app.waitUntilSettled(one), app.waitUntilSettled(other)]);
    const seen: string[] = [];
    for (const last of [await lastEventId(one), await lastEventId(other)]) {
      while (!seen.includes(last)) {
        const [message] = await events.readEvents(1);
        seen.push((JSON.parse(message?.data ?? '') as PlainEvent).id);
      }
    }
    expect(seen).toEqual(await eventIdsFrom(seen[0] ?? '', seen.length));
    events.close();
  });

  test('the filter limits the stream to its tasks and types', async () => {
    const after = await currentCursor();
    const wanted = await app.generate({ prompt: 'wanted' });
    const unwanted = await app.generate({ prompt: 'unwanted' });
    await Promise.all([app.waitUntilSettled(wanted.id), app.waitUntilSettled(unwanted.id)]);
    const path = `/events?after=${after}&taskIds=${wanted.id}&types=TASK_SUCCEEDED,IMAGE_STORED`;
    const events = await stream(path);
    const types = (await events.readEvents(2)).map(({ data }) => (JSON.parse(data ?? '') as PlainEvent).type);
    expect(types).toEqual(['TASK_SUCCEEDED', 'IMAGE_STORED']);
    events.close();
  });

  test('a key in the query string is accepted and is not logged', async () => {
    const response = await fetch(`${app.url}/events?access_token=${app.apiKey}`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store, no-transform');
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    await response.body?.cancel();
    expect(app.logLines.join('\n')).not.toContain(app.apiKey);
  });

  test.each([
    ['without a key', '/events', {}, 401, 'UNAUTHENTICATED'],
    ['with a malformed cursor', '/events?after=nonsense', null, 400, 'CURSOR_INVALID'],
    ['with an unknown event type', '/events?types=TASK_EATEN', null, 400, 'BAD_REQUEST'],
  ])('a request %s is refused', async (_what, path, headers, status, code) => {
    const response = await app.get(path, headers ?? bearer());
    expect({ status: response.status, json: response.json }).toMatchObject({
      status,
      json: { error: { code } },
    });
  });
});

describe('/graphql/stream', () => {
  const TASK_UPDATED =
    'subscription ($id: ID!, $after: String) { taskUpdated(id: $id, after: $after) { id cursor type } }';

  test('a subscription is streamed in the graphql-sse protocol until it completes', async () => {
    const { id, eventCursor } = await app.generate({ prompt: 'over SSE' });
    const seen = await (await operation(TASK_UPDATED, { id, after: eventCursor })).readToEnd();
    expect(seen.at(-1)).toEqual({ event: 'complete', data: '' });
    const events = seen.slice(0, -1).map(({ event, data }) => {
      expect(event).toBe('next');
      return (JSON.parse(data ?? '') as { data: { taskUpdated: { id: string } } }).data.taskUpdated.id;
    });
    expect(events).toEqual((await app.history(id)).map((event) => event.id));
  });

  test('a query gives one result, by POST and by GET', async () => {
    const query = encodeURIComponent('query ($first: Int) { tasks(first: $first) { nodes { __typename } } }');
    const variables = encodeURIComponent('{"first":1}');
    const get = await stream(`/graphql/stream?query=${query}&variables=${variables}`);
    expect((await get.readToEnd()).map(({ event }) => event)).toEqual(['next', 'complete']);
    const post = await operation('{ viewer { __typename } }');
    expect((await post.readToEnd())[0]?.data).toBe('{"data":{"viewer":{"__typename":"Viewer"}}}');
  });

  test('a refused subscription sends its errors and completes', async () => {
    const seen = await (await operation(TASK_UPDATED, { id: v7() })).readToEnd();
    expect(seen.map(({ event }) => event)).toEqual(['next', 'complete']);
    expect(seen[0]?.data).toContain('"code":"NOT_FOUND"');
  });

  test.each([
    ['an invalid document', { query: '{ nothing }' }, 400, 'GRAPHQL_VALIDATION_FAILED'],
    ['no document', {}, 400, 'BAD_REQUEST'],
    [
      'variables that are not an object',
      { query: '{ viewer { __typename } }', variables: 'x' },
      400,
      'BAD_REQUEST',
    ],
  ])('a request with %s is refused', async (_what, body, status, code) => {
    const response = await app.postBody('/graphql/stream', body, bearer());
    expect(response.status).toBe(status);
    expect(JSON.stringify(response.json)).toContain(`"code":"${code}"`);
  });

  test('the single connection mode of graphql-sse is refused with 405 and the allowed methods', async () => {
    const response = await fetch(`${app.url}/graphql/stream`, { method: 'PUT', headers: bearer() });
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, POST']);
  });
});

async function lastEventId(taskId: string): Promise<string> {
  return (await app.history(taskId)).at(-1)?.id ?? '';
}

/** IDs of `count` events of the log, starting with the given event. */
async function eventIdsFrom(id: string, count: number): Promise<string[]> {
  const rows = await app.rows<{ id: string }>(
    `SELECT id FROM task_events WHERE position >= (SELECT position FROM task_events WHERE id = $1)
     ORDER BY position LIMIT $2`,
    [id, count],
  );
  return rows.map((row) => row.id);
}
