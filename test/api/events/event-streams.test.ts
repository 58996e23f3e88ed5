import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import { TestApp } from '../../support/app/test-app.js';
import { openStream } from '../../support/events/server-sent-events.js';
import { addWorkspace } from '../../support/access/workspaces.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

const bearer = () => ({ authorization: `Bearer ${app.key}` });
const stream = (path: string, headers: Record<string, string> = {}) =>
  openStream(app.url + path, { headers: { ...bearer(), ...headers } });
const operation = (query: string, variables: object = {}, headers: Record<string, string> = {}) =>
  openStream(`${app.url}/graphql/stream`, {
    method: 'POST',
    headers: { ...bearer(), 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ query, variables }),
  });
async function cursorNow(): Promise<string> {
  return (await app.generate({ prompt: 'to know a cursor' })).cursor;
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
  test('gives the task as it stands, then every event with its cursor as id, and says when it is over', async () => {
    const { id } = await app.generate({ prompt: 'a streamed cat', count: 2 });
    const events = await stream(`/tasks/${id}/events`);
    const seen = await events.all();
    expect(seen.at(-1)).toEqual({ event: 'complete', data: '' });
    const plain = seen.slice(0, -1).map(({ data }) => JSON.parse(data ?? '') as PlainEvent);
    expect(plain.map(({ type }) => type)).toEqual([
      expect.stringMatching(/^TASK_/),
      ...(await app.history(id)).slice(-plain.length + 1).map(({ type }) => type),
    ]);
    const history = await app.history(id);
    for (const [index, { id: eventId, cursor, taskId, actor, at, data }] of plain.entries()) {
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

  test('goes on after Last-Event-ID, which wins over the address', async () => {
    const { id } = await app.generate({ prompt: 'resumed' });
    await app.settled(id);
    const history = await app.history(id);
    const [first, second] = history;
    const seen = await (await stream(`/tasks/${id}/events?after=${first?.cursor}`)).all();
    expect(seen.map((message) => message.id)).toEqual([
      ...history.slice(1).map(({ cursor }) => cursor),
      undefined,
    ]);
    const headers = { 'last-event-id': second?.cursor ?? '' };
    const later = await (await stream(`/tasks/${id}/events?after=${first?.cursor}`, headers)).all();
    expect(later.map((message) => message.id)).toEqual([
      ...history.slice(2).map(({ cursor }) => cursor),
      undefined,
    ]);
  });

  test('tells a browser that comes back after the end to stay away, with 204', async () => {
    const { id } = await app.generate({ prompt: 'over' });
    await app.settled(id);
    const last = (await app.history(id)).at(-1)?.cursor ?? '';
    expect((await app.get(`/tasks/${id}/events`, { ...bearer(), 'last-event-id': last })).status).toBe(204);
  });

  test('answers an unknown id, and one of another workspace, with the same 404', async () => {
    const { id } = await app.generate({ prompt: 'mine' });
    const other = await addWorkspace(app);
    const theirs = await app.get(`/tasks/${id}/events`, { authorization: `Bearer ${other}` });
    const nobodys = await app.get(`/tasks/${v7()}/events`, bearer());
    expect([theirs.status, nobodys.status]).toEqual([404, 404]);
    expect(theirs.json).toEqual(nobodys.json);
  });
});

describe('GET /events', () => {
  test('gives the events of the whole workspace from now on, as they come', async () => {
    const events = await stream('/events');
    const [{ id: one }, { id: other }] = await Promise.all([
      app.generate({ prompt: 'one' }),
      app.generate({ prompt: 'another' }),
    ]);
    await Promise.all([app.settled(one), app.settled(other)]);
    const seen: string[] = [];
    for (const last of [await lastEvent(one), await lastEvent(other)]) {
      while (!seen.includes(last)) {
        const [message] = await events.take(1);
        seen.push((JSON.parse(message?.data ?? '') as PlainEvent).id);
      }
    }
    expect(seen).toEqual(await eventsFrom(seen[0] ?? '', seen.length));
    events.close();
  });

  test('shows only what the filter names', async () => {
    const after = await cursorNow();
    const wanted = await app.generate({ prompt: 'wanted' });
    const unwanted = await app.generate({ prompt: 'unwanted' });
    await Promise.all([app.settled(wanted.id), app.settled(unwanted.id)]);
    const path = `/events?after=${after}&taskIds=${wanted.id}&types=TASK_SUCCEEDED,IMAGE_STORED`;
    const events = await stream(path);
    const types = (await events.take(2)).map(({ data }) => (JSON.parse(data ?? '') as PlainEvent).type);
    expect(types).toEqual(['TASK_SUCCEEDED', 'IMAGE_STORED']);
    events.close();
  });

  test('takes the key from the address, and does not log it', async () => {
    const response = await fetch(`${app.url}/events?access_token=${app.key}`);
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('cache-control')).toBe('no-store, no-transform');
    expect(response.headers.get('x-accel-buffering')).toBe('no');
    await response.body?.cancel();
    expect(app.logged.join('\n')).not.toContain(app.key);
  });

  test.each([
    ['without a key', '/events', {}, 401, 'UNAUTHENTICATED'],
    ['with a cursor that is not ours', '/events?after=nonsense', null, 400, 'CURSOR_INVALID'],
    ['with a type that there is not', '/events?types=TASK_EATEN', null, 400, 'BAD_REQUEST'],
  ])('refuses a request %s', async (_what, path, headers, status, code) => {
    const answer = await app.get(path, headers ?? bearer());
    expect({ status: answer.status, json: answer.json }).toMatchObject({ status, json: { error: { code } } });
  });
});

describe('/graphql/stream', () => {
  const WATCH =
    'subscription ($id: ID!, $after: String) { taskUpdated(id: $id, after: $after) { id cursor type } }';

  test('streams a subscription as graphql-sse wants it, to its end', async () => {
    const { id, cursor } = await app.generate({ prompt: 'over SSE' });
    const seen = await (await operation(WATCH, { id, after: cursor })).all();
    expect(seen.at(-1)).toEqual({ event: 'complete', data: '' });
    const events = seen.slice(0, -1).map(({ event, data }) => {
      expect(event).toBe('next');
      return (JSON.parse(data ?? '') as { data: { taskUpdated: { id: string } } }).data.taskUpdated.id;
    });
    expect(events).toEqual((await app.history(id)).map((event) => event.id));
  });

  test('answers a query with one result, by GET as well', async () => {
    const query = encodeURIComponent('query ($first: Int) { tasks(first: $first) { nodes { __typename } } }');
    const variables = encodeURIComponent('{"first":1}');
    const get = await stream(`/graphql/stream?query=${query}&variables=${variables}`);
    expect((await get.all()).map(({ event }) => event)).toEqual(['next', 'complete']);
    const post = await operation('{ viewer { __typename } }');
    expect((await post.all())[0]?.data).toBe('{"data":{"viewer":{"__typename":"Viewer"}}}');
  });

  test('answers a refused subscription with its errors, and completes', async () => {
    const seen = await (await operation(WATCH, { id: v7() })).all();
    expect(seen.map(({ event }) => event)).toEqual(['next', 'complete']);
    expect(seen[0]?.data).toContain('"code":"NOT_FOUND"');
  });

  test.each([
    ['a document that is wrong', { query: '{ nothing }' }, 400, 'GRAPHQL_VALIDATION_FAILED'],
    ['no document', {}, 400, 'BAD_REQUEST'],
    [
      'variables that are no object',
      { query: '{ viewer { __typename } }', variables: 'x' },
      400,
      'BAD_REQUEST',
    ],
  ])('refuses %s', async (_what, body, status, code) => {
    const answer = await app.send('/graphql/stream', body, bearer());
    expect(answer.status).toBe(status);
    expect(JSON.stringify(answer.json)).toContain(`"code":"${code}"`);
  });

  test('does not speak the single connection mode, and says so', async () => {
    const answer = await fetch(`${app.url}/graphql/stream`, { method: 'PUT', headers: bearer() });
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, POST']);
  });
});

async function lastEvent(taskId: string): Promise<string> {
  return (await app.history(taskId)).at(-1)?.id ?? '';
}

/** The ids of so many events of the log, from this one on. */
async function eventsFrom(id: string, count: number): Promise<string[]> {
  const rows = await app.rows<{ id: string }>(
    `SELECT id FROM task_events WHERE position >= (SELECT position FROM task_events WHERE id = $1)
     ORDER BY position LIMIT $2`,
    [id, count],
  );
  return rows.map((row) => row.id);
}
