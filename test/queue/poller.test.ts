import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { type Worker as QueueSlot, type WorkerPool } from 'graphile-worker';
import { Poller } from '../../src/queue/poller.js';

/** Slots that only record that they were sent. worker.test.ts has the slots of a real queue. */
function startPoller(slotCount: number) {
  const poller = new Poller();
  const sent: QueueSlot[] = [];
  const queue = {} as WorkerPool;
  poller.start(queue);
  stops.push(() => poller.stop());
  for (let count = 0; count < slotCount; count += 1) {
    const slot: Partial<QueueSlot> = {
      nudge: () => {
        sent.push(slot as QueueSlot);
        poller.begin(slot as QueueSlot);
        return true;
      },
    };
    poller.foundNothing(slot as QueueSlot);
  }
  const last = () => {
    const slot = sent.at(-1);
    if (!slot) throw new Error('No slot was sent.');
    return slot;
  };
  return { poller, queue, sent, last };
}

const stops: (() => void)[] = [];
beforeEach(() => void jest.useFakeTimers());
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
  jest.useRealTimers();
});

describe('a poller', () => {
  test('sends a slot every 250 ms while each comes back without a job', () => {
    const { poller, sent, last } = startPoller(10);
    for (let count = 1; count <= 8; count += 1) {
      jest.advanceTimersByTime(250);
      expect(sent).toHaveLength(count);
      poller.foundNothing(last());
    }
  });

  test('sends no other slot while the last one is out, but waits for none that hangs', () => {
    const { sent } = startPoller(10);
    jest.advanceTimersByTime(1_000);
    expect(sent).toHaveLength(1);
    jest.advanceTimersByTime(250);
    expect(sent).toHaveLength(2);
    jest.advanceTimersByTime(3_000);
    expect(new Set(sent).size).toBe(5);
  });

  test('sends no more slots than that after one has found a job, when the next ones hang', () => {
    const { poller, sent, last } = startPoller(30);
    jest.advanceTimersByTime(250);
    poller.found(last());
    jest.advanceTimersByTime(1_000);
    const sentAfterFind = sent.length;
    expect(sentAfterFind).toBeLessThan(7);
    jest.advanceTimersByTime(4_000);
    expect(sent).toHaveLength(sentAfterFind + 4);
  });

  test('sends the next slot for each job that one finds, and more of them while PostgreSQL is slow', () => {
    const { poller, sent, last } = startPoller(10);
    jest.advanceTimersByTime(250);
    poller.found(last());
    jest.advanceTimersByTime(1);
    expect(sent).toHaveLength(2);
    jest.advanceTimersByTime(500);
    expect(sent).toHaveLength(4);
    for (const slot of sent.slice(1)) poller.foundNothing(slot);
    jest.advanceTimersByTime(1);
    expect(sent).toHaveLength(4);
  });

  test('sends no slot for a job that was found by one that had finished another', () => {
    const { poller, sent } = startPoller(10);
    const other = {} as QueueSlot;
    poller.begin(other);
    poller.found(other);
    jest.advanceTimersByTime(1);
    expect(sent).toHaveLength(0);
  });
});

describe('looking for jobs', () => {
  test('sends one slot at once, also for a notification of the library', () => {
    const { poller, queue, sent, last } = startPoller(10);
    poller.look();
    expect(sent).toHaveLength(1);
    poller.foundNothing(last());
    queue.nudge(3);
    expect(sent).toHaveLength(2);
  });

  test('goes on with as many slots as there are jobs', () => {
    const { poller, sent, last } = startPoller(10);
    poller.look();
    for (let count = 2; count <= 10; count += 1) {
      poller.found(last());
      jest.advanceTimersByTime(1);
      expect(new Set(sent).size).toBe(count);
    }
  });

  test('waits for a slot that hangs until the next poll only', () => {
    const { poller, sent } = startPoller(10);
    poller.look();
    for (let count = 2; count <= 4; count += 1) {
      poller.look();
      jest.advanceTimersByTime(250);
      expect(new Set(sent).size).toBe(count);
    }
    poller.look();
    jest.advanceTimersByTime(500);
    expect(sent).toHaveLength(4);
  });

  test('while a slot is out is followed by one fetch as soon as it has come back', () => {
    const { poller, sent, last } = startPoller(5);
    poller.look();
    for (let count = 0; count < 5; count += 1) poller.look();
    expect(sent).toHaveLength(1);
    poller.foundNothing(last());
    jest.advanceTimersByTime(1);
    expect(sent).toHaveLength(2);
    poller.foundNothing(last());
    jest.advanceTimersByTime(1);
    expect(sent).toHaveLength(2);
  });

  test('wakes no slot of a queue that shuts down', () => {
    const { poller, sent } = startPoller(2);
    poller.stop();
    poller.look();
    expect(sent).toHaveLength(0);
  });
});
