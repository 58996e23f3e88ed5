import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import {
  EventPageDocument,
  type EventPageQuery,
  GenerateImagesDocument,
  type TaskEventFilter,
  TaskEventsDocument,
  TasksDocument,
} from '../../../clients/operations.js';
import { codesOf, TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspace } from '../../support/access/workspaces.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

type EventPage = EventPageQuery['taskEvents'];
async function page(
  filter: TaskEventFilter | null,
  after?: string | null,
  first = 100,
  key?: string,
): Promise<EventPage> {
  return (await app.query(EventPageDocument, { filter, after, first }, key)).taskEvents;
}
async function made(prompt: string): Promise<string> {
  const { id } = await app.generate({ prompt });
  await app.settled(id);
  return id;
}

test('is a list of what happened in the workspace, oldest first, page by page', async () => {
  const taskIds = [await made('first'), await made('second')];
  const filter = { taskIds };
  const whole = await page(filter);
  const histories = await Promise.all(taskIds.map((id) => app.history(id)));
  expect(whole.nodes.map(({ id }) => id)).toEqual(histories.flat().map(({ id }) => id));

  const pieces: string[] = [];
  for (let after: string | null | undefined, more = true; more;) {
    const { nodes, pageInfo } = await page(filter, after, 3);
    pieces.push(...nodes.map(({ id }) => id));
    expect(pageInfo.logCursor).toBe(pageInfo.endCursor);
    ({ endCursor: after, hasNextPage: more } = pageInfo);
  }
  expect(pieces).toEqual(whole.nodes.map(({ id }) => id));
});

test('shows the kinds and tasks that the filter names, and nothing for ids that are none', async () => {
  const id = await made('filtered');
  const types = ['TASK_SUCCEEDED', 'IMAGE_STORED'] as const;
  expect((await page({ taskIds: [id], types: [...types] })).nodes.map(({ type }) => type)).toEqual(types);
  expect((await page({ taskIds: ['none', v7()] })).nodes).toEqual([]);
  expect((await page({ taskIds: ['none'] })).nodes).toEqual([]);
});

test('goes over into the subscription without a gap, from a full page and from an empty one', async () => {
  const key = await addWorkspace(app);
  const empty = await page(null, null, 100, key);
  expect(empty.nodes).toEqual([]);
  const client = app.connectSockets(key);
  try {
    const fromEmpty = app.watch(TaskEventsDocument, { after: empty.pageInfo.logCursor }, client);
    const wish = { input: { prompt: 'after the empty page' } };
    await app.query(GenerateImagesDocument, wish, key);
    const read = await waitFor('the task to succeed', async () => {
      const { nodes, pageInfo } = await page(null, null, 100, key);
      return nodes.some(({ type }) => type === 'TASK_SUCCEEDED') && { nodes, pageInfo };
    });
    const fromFull = app.watch(TaskEventsDocument, { after: read.pageInfo.logCursor }, client);
    const stored = () => fromFull.received.some(({ taskEvents }) => taskEvents.type === 'IMAGE_STORED');
    await waitFor('the picture', () => stored() || read.nodes.some(({ type }) => type === 'IMAGE_STORED'));
    const all = (await page(null, null, 100, key)).nodes.map(({ id }) => id);
    await waitFor('everything', () => fromEmpty.received.length >= all.length);
    expect(fromEmpty.received.map(({ taskEvents }) => taskEvents.id)).toEqual(all);
    const joined = [
      ...read.nodes.map(({ id }) => id),
      ...fromFull.received.map(({ taskEvents }) => taskEvents.id),
    ];
    expect(joined).toEqual(all);
  } finally {
    await client.dispose();
  }
});

test('is joined by a list of tasks, also when that list is empty', async () => {
  const { tasks } = await app.query(TasksDocument, { filter: { search: 'nothing has this' } });
  expect(tasks.nodes).toEqual([]);
  const id = await made('behind the list');
  const watch = app.watch(TaskEventsDocument, { after: tasks.pageInfo.logCursor, filter: { taskIds: [id] } });
  const history = await app.history(id);
  await waitFor('its history', () => watch.received.length === history.length);
  expect(watch.received.map(({ taskEvents }) => taskEvents.id)).toEqual(history.map((event) => event.id));
  watch.stop();
});

test('starts from now without a cursor', async () => {
  await made('before');
  const watch = app.watch(TaskEventsDocument, {});
  const marker = await app.generate({ prompt: 'a marker' });
  await app.settled(marker.id);
  await waitFor('the marker', () =>
    watch.received.some(({ taskEvents }) => taskEvents.task.id === marker.id),
  );
  expect(new Set(watch.received.map(({ taskEvents }) => taskEvents.task.id))).toEqual(new Set([marker.id]));
  watch.stop();
});

test('refuses a filter of over 100 tasks', async () => {
  const taskIds = Array.from({ length: 101 }, () => v7());
  await expect(codesOf(app.watch(TaskEventsDocument, { filter: { taskIds } }))).resolves.toEqual([
    'BAD_REQUEST',
  ]);
});
