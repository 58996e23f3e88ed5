import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { TestApp } from '../../support/app/test-app.js';
import { addFinishedTasks, firstWorkspaceId, insertEvent } from '../../support/events/event-rows.js';
import { openEventStream } from '../../support/events/server-sent-events.js';

/** Where Python's `str.splitlines` and similar splitters end a line. */
// eslint-disable-next-line no-control-regex -- separators of files, records and groups
const LINE_BREAKS = /[\r\v\f\u001c-\u001e\u0085\u2028\u2029]/;

let app: TestApp;
let sql: pg.Pool;
let taskId: string;
/** A cursor with two events behind it. */
let cursor: string;
beforeAll(async () => {
  app = await TestApp.start({ environment: { ROLES: 'api' } });
  sql = new pg.Pool({ connectionString: app.databaseUrl, max: 2 });
  taskId = (await app.generate({ prompt: 'followed' })).id;
  ({ eventCursor: cursor } = await app.task(taskId));
  await insertEvent(sql, taskId, 'TASK_SUBMITTED');
  await insertEvent(sql, taskId, 'TASK_SUBMITTED');
});
afterAll(async () => {
  await sql.end();
  await app.stop();
});

const headers = () => ({ authorization: `Bearer ${app.apiKey}` });

describe.each(['/events', 'the events of a task'])('%s', (route) => {
  const pathOf = () => (route === '/events' ? route : `/tasks/${taskId}/events`);

  test.each([
    'after',
    ...['lastEventId', 'lastEventID', 'last-event-id', 'Last-Event-ID', 'last_event_id', 'evs_last_event_id'],
  ])('resumes after the cursor in `?%s=`', async (name) => {
    const stream = await openEventStream(`${app.url}${pathOf()}?${name}=${cursor}`, { headers: headers() });
    const events = await stream.readEvents(2);
    stream.close();
    expect(events.map(({ data }) => (JSON.parse(data ?? '') as { type: string }).type)).toEqual([
      'TASK_SUBMITTED',
      'TASK_SUBMITTED',
    ]);
  });

  test('prefers what a client that reconnects appends to the `after` of its URL', async () => {
    const newer = await openEventStream(`${app.url}${pathOf()}?after=${cursor}`, { headers: headers() });
    const [first] = await newer.readEvents(2);
    newer.close();
    const search = `after=${cursor}&lastEventId=${first?.id}&evs_preamble=2056`;
    const stream = await openEventStream(`${app.url}${pathOf()}?${search}`, { headers: headers() });
    const [next] = await stream.readEvents(1);
    stream.close();
    expect(next?.id).not.toBe(first?.id);
  });

  test.each([
    [
      'an unknown parameter',
      'since=x',
      /Unknown query parameter `since`\. Use any of: `after`, `lastEventId`/,
    ],
    ['another case', 'After=x', /Unknown query parameter `After`/],
    ['a list in brackets', 'types[]=TASK_FAILED', /Unknown query parameter `types\[\]`/],
    ['a cursor twice', 'after=x&after=y', /`after` occurs 2 times/],
    ['two names of one thing', 'lastEventId=x&last_event_id=x', /mean the same/],
    ['bytes that are not UTF-8', 'after=%FF', /not valid UTF-8 at byte 0/],
  ])('refuses %s', async (_what, search, message) => {
    const { status, bytes } = await app.get(`${pathOf()}?${search}`, headers());
    expect([status, bytes.toString()]).toEqual([400, expect.stringMatching(message)]);
  });
});

test('the stream of one task refuses the filters of /events', async () => {
  const { status } = await app.get(`/tasks/${taskId}/events?types=TASK_FAILED`, headers());
  expect(status).toBe(400);
});

test('/graphql/stream refuses unknown and repeated parameters', async () => {
  const query = encodeURIComponent('{ __typename }');
  for (const search of [
    `query=${query}&lastEventId=x`,
    `query=${query}&query=${query}`,
    `query=${query}&operationName=a&operationName=b`,
  ])
    expect((await app.get(`/graphql/stream?${search}`, headers())).status).toBe(400);
  const body = { query: '{ __typename }' };
  expect((await app.postBody('/graphql/stream?after=x', body, headers())).status).toBe(400);
  expect((await app.postBody('/graphql/stream', { ...body, operationName: 5 }, headers())).status).toBe(400);
});

test('events have no character that ends a line but their own line breaks', async () => {
  const [finished = ''] = await addFinishedTasks(sql, await firstWorkspaceId(sql), 1);
  const text = 'a\u2028b\u2029c\u0085d';
  await sql.query('UPDATE tasks SET prompt = $1 WHERE id = $2', [text, finished]);
  const query = `subscription { taskEvents(filter: { taskIds: ["${finished}"] }) { task { prompt } } }`;
  const response = await fetch(`${app.url}/graphql/stream`, {
    method: 'POST',
    headers: { ...headers(), 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });
  await insertEvent(sql, finished, 'TASK_SUBMITTED');
  let received = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    received += decoder.decode(chunk as Uint8Array, { stream: true });
    if (received.includes('event: next') && received.endsWith('\n\n')) break;
  }
  expect(received).not.toMatch(LINE_BREAKS);
  const [, data = ''] = /^data: (\{.*\})$/m.exec(received) ?? [];
  expect(JSON.parse(data)).toMatchObject({ data: { taskEvents: { task: { prompt: text } } } });
});
