import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { v7 } from 'uuid';
import { DatabaseUnavailable } from '../../../src/core/errors.js';
import { ImageRepository } from '../../../src/db/images/image-repository.js';
import { Broadcaster } from '../../../src/event-log/broadcaster.js';
import { TaskUpdatedDocument } from '../../../clients/operations.js';
import { subscriptionErrorCodes, TestApp, eventTypes } from '../../support/app/test-app.js';
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
  test('a subscription with a cursor receives the later events only', async () => {
    const { id } = await app.generate({ prompt: 'resumed' });
    await app.waitUntilSettled(id);
    const [first, second, ...rest] = await app.history(id);
    const subscription = app.subscribeToTask(id, second?.cursor);
    await subscription.ended;
    expect(first?.type).toBe('TASK_REQUESTED');
    expect(subscription.received.map((event) => event.id)).toEqual(rest.map((event) => event.id));
    expect(eventTypes(rest)).toEqual(['TASK_SUCCEEDED', 'IMAGE_STORED']);
  });

  test('a subscription after the last event of a settled task completes without events', async () => {
    const { id } = await app.generate({ prompt: 'read to its end' });
    await app.waitUntilSettled(id);
    const subscription = app.subscribeToTask(id, (await app.history(id)).at(-1)?.cursor);
    await subscription.ended;
    expect(subscription.received).toEqual([]);
  });

  test('a subscription to a settled task without a cursor receives the latest event and completes', async () => {
    const { id } = await app.generate({ prompt: 'long settled' });
    await app.waitUntilSettled(id);
    const subscription = app.subscribeToTask(id);
    await subscription.ended;
    expect(eventTypes(subscription.received)).toEqual(['IMAGE_STORED']);
    expect(subscription.received[0]?.task.status).toBe('SUCCEEDED');
  });

  test('an event is not replaced by an error when the database is unavailable for a moment', async () => {
    const { id } = await app.generate({ prompt: 'read again' });
    await app.waitUntilSettled(id);
    const read = jest
      .spyOn(ImageRepository.prototype, 'findByTasks')
      .mockRejectedValueOnce(new DatabaseUnavailable());
    const subscription = app.subscribeToTask(id);
    await subscription.ended;
    expect(eventTypes(subscription.received)).toEqual(['IMAGE_STORED']);
    expect(read).toHaveBeenCalledTimes(2);
  });

  test('all subscribers of one task receive the same events in the same order', async () => {
    const { id, eventCursor: after } = await app.generate({ prompt: 'many subscribers', count: 4 });
    const other = app.createWebSocketClient(app.apiKey);
    const subscriptions = [
      ...Array.from({ length: 5 }, () => app.openSubscription(TaskUpdatedDocument, { id, after })),
      ...Array.from({ length: 5 }, () => app.openSubscription(TaskUpdatedDocument, { id, after }, other)),
    ];
    await Promise.all(subscriptions.map((subscription) => subscription.ended));
    await other.dispose();
    const [first, ...others] = subscriptions.map((subscription) =>
      subscription.received.map((data) => data.taskUpdated.id),
    );
    expect(first).toHaveLength(7);
    for (const ids of others) expect(ids).toEqual(first);
  });

  test.each([
    ['a malformed cursor', 'nonsense'],
    ['an empty cursor', ''],
    ['a well-formed cursor that was never issued', 'AAAAAAAAAAAAAAAAAAAAAA'],
  ])('%s is refused with CURSOR_INVALID', async (_what, after) => {
    const { id } = await app.generate({ prompt: 'cursors' });
    await expect(subscriptionErrorCodes(app.subscribeToTask(id, after))).resolves.toEqual(['CURSOR_INVALID']);
  });

  test('an altered cursor is refused with CURSOR_INVALID', async () => {
    const { id, eventCursor } = await app.generate({ prompt: 'an altered cursor' });
    const forged = (eventCursor.startsWith('A') ? 'B' : 'A') + eventCursor.slice(1);
    await expect(subscriptionErrorCodes(app.subscribeToTask(id, forged))).resolves.toEqual([
      'CURSOR_INVALID',
    ]);
  });

  test.each([
    ['unknown', v7()],
    ['malformed', 'nothing'],
  ])('a task ID that is %s is refused with NOT_FOUND', async (_what, id) => {
    await expect(subscriptionErrorCodes(app.subscribeToTask(id))).resolves.toEqual(['NOT_FOUND']);
  });

  test('unsubscribing releases the topic even if no event arrives', async () => {
    const subscribeSpy = jest.spyOn(Broadcaster.prototype, 'subscribe');
    const { id } = await app.generate({ prompt: 'left alone [sandbox: delay=600s]' });
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    const subscription = app.subscribeToTask(id);
    await waitFor('the latest event', () => subscription.received.length > 0);
    const broadcaster = subscribeSpy.mock.contexts[0] as Broadcaster;
    expect(broadcaster['topicsByRoutingKey'].has(id)).toBe(true);
    subscription.stop();
    await waitFor(
      'the subscriber to be removed',
      () => broadcaster['topics'].size === 0 && broadcaster['topicsByRoutingKey'].size === 0,
    );
  });

  test('a client that disconnects without a close frame releases the topic', async () => {
    const subscribeSpy = jest.spyOn(Broadcaster.prototype, 'subscribe');
    const { id } = await app.generate({ prompt: 'cut off [sandbox: delay=600s]' });
    const client = app.createWebSocketClient(app.apiKey);
    app.openSubscription(TaskUpdatedDocument, { id }, client);
    const broadcaster = await waitFor(
      'the subscriber',
      () => subscribeSpy.mock.contexts[0] as Broadcaster | undefined,
    );
    client.terminate();
    await waitFor('the subscriber to be removed', () => broadcaster['topics'].size === 0);
    await client.dispose();
  });
});
