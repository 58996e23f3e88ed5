import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { v7 } from 'uuid';
import {
  TaskEventPageDocument,
  type TaskEventPageQuery,
  GenerateImagesDocument,
  type TaskEventFilter,
  TaskEventsDocument,
  TasksDocument,
} from '../../../clients/operations.js';
import { subscriptionErrorCodes, TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

type EventPage = TaskEventPageQuery['taskEvents'];
async function page(
  filter: TaskEventFilter | null,
  after?: string | null,
  first = 100,
  key?: string,
): Promise<EventPage> {
  return (await app.query(TaskEventPageDocument, { filter, after, first }, key)).taskEvents;
}
async function settledTask(prompt: string): Promise<string> {
  const { id } = await app.generate({ prompt });
  await app.waitUntilSettled(id);
  return id;
}

test('taskEvents lists the events of the workspace oldest first, and its pages add up to the whole list', async () => {
  const taskIds = [await settledTask('first'), await settledTask('second')];
  const filter = { taskIds };
  const whole = await page(filter);
  const histories = await Promise.all(taskIds.map((id) => app.history(id)));
  expect(whole.nodes.map(({ id }) => id)).toEqual(histories.flat().map(({ id }) => id));

  const pieces: string[] = [];
  for (let after: string | null | undefined, more = true; more;) {
    const { nodes, pageInfo } = await page(filter, after, 3);
    pieces.push(...nodes.map(({ id }) => id));
    expect(pageInfo.eventCursor).toBe(pageInfo.endCursor);
    ({ endCursor: after, hasNextPage: more } = pageInfo);
  }
  expect(pieces).toEqual(whole.nodes.map(({ id }) => id));
});

test('the filter selects events by task and type, and unknown or malformed IDs match nothing', async () => {
  const id = await settledTask('filtered');
  const types = ['TASK_SUCCEEDED', 'IMAGE_STORED'] as const;
  expect((await page({ taskIds: [id], types: [...types] })).nodes.map(({ type }) => type)).toEqual(types);
  expect((await page({ taskIds: ['none', v7()] })).nodes).toEqual([]);
  expect((await page({ taskIds: ['none'] })).nodes).toEqual([]);
});

test('a subscription continues a page without a gap, even if the page is empty', async () => {
  const key = await addWorkspaceWithKey(app);
  const empty = await page(null, null, 100, key);
  expect(empty.nodes).toEqual([]);
  const client = app.createWebSocketClient(key);
  try {
    const fromEmpty = app.openSubscription(TaskEventsDocument, { after: empty.pageInfo.eventCursor }, client);
    await app.query(GenerateImagesDocument, { input: { prompt: 'after the empty page' } }, key);
    const read = await waitFor('the task to succeed', async () => {
      const { nodes, pageInfo } = await page(null, null, 100, key);
      return nodes.some(({ type }) => type === 'TASK_SUCCEEDED') && { nodes, pageInfo };
    });
    const fromPage = app.openSubscription(TaskEventsDocument, { after: read.pageInfo.eventCursor }, client);
    const stored = () => fromPage.received.some(({ taskEvents }) => taskEvents.type === 'IMAGE_STORED');
    await waitFor(
      'the image to be stored',
      () => stored() || read.nodes.some(({ type }) => type === 'IMAGE_STORED'),
    );
    const all = (await page(null, null, 100, key)).nodes.map(({ id }) => id);
    await waitFor('all events', () => fromEmpty.received.length >= all.length);
    expect(fromEmpty.received.map(({ taskEvents }) => taskEvents.id)).toEqual(all);
    const joined = [
      ...read.nodes.map(({ id }) => id),
      ...fromPage.received.map(({ taskEvents }) => taskEvents.id),
    ];
    expect(joined).toEqual(all);
  } finally {
    await client.dispose();
  }
});

test('a subscription continues a list of tasks, even if the list is empty', async () => {
  const { tasks } = await app.query(TasksDocument, { filter: { search: 'nothing has this' } });
  expect(tasks.nodes).toEqual([]);
  const id = await settledTask('after the list');
  const subscription = app.openSubscription(TaskEventsDocument, {
    after: tasks.pageInfo.eventCursor,
    filter: { taskIds: [id] },
  });
  const history = await app.history(id);
  await waitFor('its history', () => subscription.received.length === history.length);
  expect(subscription.received.map(({ taskEvents }) => taskEvents.id)).toEqual(
    history.map((event) => event.id),
  );
  subscription.stop();
});

test('a subscription without a cursor receives new events only', async () => {
  await settledTask('before');
  const subscription = app.openSubscription(TaskEventsDocument, {});
  const marker = await app.generate({ prompt: 'a marker' });
  await app.waitUntilSettled(marker.id);
  await waitFor('the marker', () =>
    subscription.received.some(({ taskEvents }) => taskEvents.task.id === marker.id),
  );
  expect(new Set(subscription.received.map(({ taskEvents }) => taskEvents.task.id))).toEqual(
    new Set([marker.id]),
  );
  subscription.stop();
});

test('a filter with more than 100 tasks is refused', async () => {
  const taskIds = Array.from({ length: 101 }, () => v7());
  await expect(
    subscriptionErrorCodes(app.openSubscription(TaskEventsDocument, { filter: { taskIds } })),
  ).resolves.toEqual(['BAD_REQUEST']);
});
