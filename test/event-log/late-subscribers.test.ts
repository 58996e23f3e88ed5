import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { workspaceVisibility } from '../../src/core/access/visibility.js';
import { type Subscriber } from '../../src/event-log/subscriber.js';
import { waitFor } from '../support/wait-for.js';
import { type Broadcasting, startBroadcasting } from '../support/events/broadcasting.js';
import { addFinishedTasks, insertEvents } from '../support/events/event-rows.js';

/** More subscribers than one slice of a broadcast serves. */
const SUBSCRIBER_COUNT = 1_200;

let broadcasting: Broadcasting;
let workspaceId: string;
let sql: Broadcasting['sql'];
let log: Broadcasting['log'];
let broadcaster: Broadcasting['broadcaster'];
const subscribers: Subscriber[] = [];
beforeAll(async () => {
  broadcasting = await startBroadcasting();
  ({ workspaceId, sql, log, broadcaster } = broadcasting);
});
afterEach(() => {
  for (const subscriber of subscribers.splice(0)) subscriber.unsubscribe();
});
afterAll(() => broadcasting.stop());

/** Subscribes to a task after `position`. `onEvent` is called with the number of each event. */
function subscribe(
  taskId: string,
  position: bigint,
  render: (n: number) => Promise<unknown>,
  onEvent: (n: number) => void,
) {
  const numberOf = ({ data }: TaskEvent) => (data as unknown as { n: number }).n;
  const renderNumber = async (event: TaskEvent) => {
    await render(numberOf(event));
    return String(numberOf(event));
  };
  const topic = {
    key: taskId,
    scope: { ...workspaceVisibility(workspaceId), taskId },
    matches: () => true,
    render: renderNumber,
    renderingCost: 1,
  };
  const sink = {
    ...{ bufferedBytes: 0, acceptedBytes: 0, complete: () => undefined, close: () => undefined },
    send: (text: string) => onEvent(Number(text)),
    batch: (work: () => void) => work(),
  };
  const subscriber = broadcaster.subscribe(
    topic,
    { position, initialEvent: null, settledPosition: null },
    sink,
  );
  subscribers.push(subscriber);
  return subscriber;
}

const numbersUpTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);
const nextTick = () => new Promise((resolve) => setImmediate(resolve));

describe('a subscriber that joins', () => {
  test('during a broadcast to many others sees each event once, at whatever point it joins', async () => {
    const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
    const start = log.head;
    const seen: number[][] = [];
    const addSubscriber = () => {
      const own: number[] = [];
      seen.push(own);
      return subscribe(taskId, start, nextTick, (n) => {
        own.push(n);
        // The first subscriber adds another one with each tenth event.
        if (own === seen[0] && n % 10 === 0) addSubscriber();
      });
    };
    const initialSubscribers = Array.from({ length: SUBSCRIBER_COUNT }, addSubscriber);
    await waitFor('all subscribers to be live', () =>
      initialSubscribers.every(({ state }) => state === 'live'),
    );
    await insertEvents(sql, taskId, 300);
    log.requestSeal();
    await waitFor('the last event', () => seen.every((own) => own.length >= 300));
    await insertEvents(sql, taskId, 1);
    log.requestSeal();
    await waitFor('one more', () => seen.every((own) => own.at(-1) === 1));
    expect(seen).toHaveLength(SUBSCRIBER_COUNT + 30);
    for (const own of seen) expect(own).toEqual([...numbersUpTo(300), 1]);
  });

  test('while a recent event is being rendered misses no later one', async () => {
    const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
    const start = log.head;
    await insertEvents(sql, taskId, 1);
    log.requestSeal();
    await waitFor('sealing', () => log.head === start + 1n);
    const seen: number[] = [];
    // The second event is broadcast while the first is still being rendered.
    const renderNumber = async (n: number) => {
      if (n !== 1 || log.head > start + 1n) return;
      await sql.query(
        `INSERT INTO task_events (workspace_id, task_id, type, actor, data)
         VALUES ($1, $2, 'TASK_SUBMITTED', 'test', '{"n": 2}')`,
        [workspaceId, taskId],
      );
      log.requestSeal();
      await waitFor('the second event', () => log.recent.endPosition === start + 2n);
    };
    subscribe(taskId, start, renderNumber, (n) => seen.push(n));
    await waitFor('both events', () => seen.length === 2);
    expect(seen).toEqual([1, 2]);
  });
});
