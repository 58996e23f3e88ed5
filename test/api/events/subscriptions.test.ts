import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { v7 } from 'uuid';
import { Feed } from '../../../src/event-log/broadcaster.js';
import { TaskUpdatedDocument } from '../../../clients/operations.js';
import { codesOf, TestApp, typesOf } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterEach(() => {
  jest.restoreAllMocks();
});
afterAll(() => app.stop());

describe('taskUpdated', () => {
  test('after a cursor from the middle, gives only what came later', async () => {
    const { id } = await app.generate({ prompt: 'resumed' });
    await app.settled(id);
    const [first, second, ...rest] = await app.history(id);
    const watch = app.watchTask(id, second?.cursor);
    await watch.ended;
    expect(first?.type).toBe('TASK_REQUESTED');
    expect(watch.received.map((event) => event.id)).toEqual(rest.map((event) => event.id));
    expect(typesOf(rest)).toEqual(['TASK_SUCCEEDED', 'IMAGE_STORED']);
  });

  test('after the last cursor of a settled task, completes at once', async () => {
    const { id } = await app.generate({ prompt: 'read to its end' });
    await app.settled(id);
    const watch = app.watchTask(id, (await app.history(id)).at(-1)?.cursor);
    await watch.ended;
    expect(watch.received).toEqual([]);
  });

  test('of a settled task, gives its latest event and completes', async () => {
    const { id } = await app.generate({ prompt: 'long over' });
    await app.settled(id);
    const watch = app.watchTask(id);
    await watch.ended;
    expect(typesOf(watch.received)).toEqual(['IMAGE_STORED']);
    expect(watch.received[0]?.task.status).toBe('SUCCEEDED');
  });

  test('gives several watchers of one task the same events in the same order', async () => {
    const { id, cursor } = await app.generate({ prompt: 'watched by many', count: 4 });
    const other = app.connectSockets(app.key);
    const watches = [
      ...Array.from({ length: 5 }, () => app.watch(TaskUpdatedDocument, { id, after: cursor })),
      ...Array.from({ length: 5 }, () => app.watch(TaskUpdatedDocument, { id, after: cursor }, other)),
    ];
    await Promise.all(watches.map((watch) => watch.ended));
    await other.dispose();
    const [first, ...others] = watches.map((watch) => watch.received.map((data) => data.taskUpdated.id));
    expect(first).toHaveLength(7);
    for (const ids of others) expect(ids).toEqual(first);
  });

  test.each([
    ['a text that never was one', 'nonsense'],
    ['nothing', ''],
    ['the form of one that we never made', 'AAAAAAAAAAAAAAAAAAAAAA'],
  ])('refuses %s for a cursor with CURSOR_INVALID', async (_what, after) => {
    const { id } = await app.generate({ prompt: 'cursors' });
    await expect(codesOf(app.watchTask(id, after))).resolves.toEqual(['CURSOR_INVALID']);
  });

  test('refuses a cursor whose position was changed', async () => {
    const { id, cursor } = await app.generate({ prompt: 'a changed cursor' });
    const forged = (cursor.startsWith('A') ? 'B' : 'A') + cursor.slice(1);
    await expect(codesOf(app.watchTask(id, forged))).resolves.toEqual(['CURSOR_INVALID']);
  });

  test.each([
    ['of no task', v7()],
    ['of no form', 'nothing'],
  ])('refuses an id %s with NOT_FOUND', async (_what, id) => {
    await expect(codesOf(app.watchTask(id))).resolves.toEqual(['NOT_FOUND']);
  });

  test('frees what it held in the process when a client unsubscribes while nothing happens', async () => {
    const watched = jest.spyOn(Feed.prototype, 'watch');
    const { id } = await app.generate({ prompt: 'left alone [sandbox: delay=600s]' });
    await app.happened(id, 'TASK_SUBMITTED');
    const watch = app.watchTask(id);
    await waitFor('the latest event', () => watch.received.length > 0);
    const feed = watched.mock.contexts[0] as Feed;
    expect(feed['topicsOf'].has(id)).toBe(true);
    watch.stop();
    await waitFor('the watcher to be gone', () => feed['topics'].size === 0 && feed['topicsOf'].size === 0);
  });

  test('frees what it held when a client goes away without a word', async () => {
    const watched = jest.spyOn(Feed.prototype, 'watch');
    const { id } = await app.generate({ prompt: 'cut off [sandbox: delay=600s]' });
    const client = app.connectSockets(app.key);
    app.watch(TaskUpdatedDocument, { id }, client);
    const feed = await waitFor('the watcher', () => watched.mock.contexts[0] as Feed | undefined);
    client.terminate();
    await waitFor('the watcher to be gone', () => feed['topics'].size === 0);
    await client.dispose();
  });
});
