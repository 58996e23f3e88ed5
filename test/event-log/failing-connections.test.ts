import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { type EventSink } from '../../src/core/events/event-sink.js';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { workspaceVisibility } from '../../src/core/access/visibility.js';
import { type Subscriber } from '../../src/event-log/subscriber.js';
import { type TopicOptions } from '../../src/event-log/topic.js';
import { waitFor } from '../support/wait-for.js';
import { type Broadcasting, startBroadcasting } from '../support/events/broadcasting.js';
import { newId } from '../../src/core/primitives/ids.js';
import { addFinishedTasks, insertEvents } from '../support/events/event-rows.js';

const logged: string[] = [];

let broadcasting: Broadcasting;
let workspaceId: string;
let sql: Broadcasting['sql'];
let log: Broadcasting['log'];
let broadcaster: Broadcasting['broadcaster'];
const subscribers: Subscriber[] = [];
beforeAll(async () => {
  broadcasting = await startBroadcasting(
    pino({ level: 'error' }, { write: (line: string) => void logged.push(line) }),
  );
  ({ workspaceId, sql, log, broadcaster } = broadcasting);
});
afterEach(() => {
  for (const subscriber of subscribers.splice(0)) subscriber.unsubscribe();
  logged.length = 0;
});
afterAll(() => broadcasting.stop());

const numberOf = ({ data }: TaskEvent) => (data as unknown as { n: number }).n;
const breaks = (): never => {
  throw new Error('the connection is broken');
};

interface Connection {
  seen: number[];
  closings: string[];
  subscriber: Subscriber;
}

/** Subscribes to a task after `position`. `sink` and `topic` replace parts of what works. */
function subscribe(
  taskId: string,
  position: bigint,
  { sink = {}, topic = {}, initialEvent = null, settledPosition = null }: Replacements = {},
): Connection {
  const seen: number[] = [];
  const closings: string[] = [];
  const working: EventSink = {
    ...{ bufferedBytes: 0, acceptedBytes: 0, complete: () => undefined },
    send: (text) => void seen.push(Number(text)),
    batch: (work) => work(),
    close: (reason, cursor) => void closings.push(`${reason} ${broadcasting.cursors.decode(cursor)}`),
  };
  const options = {
    key: taskId,
    scope: { ...workspaceVisibility(workspaceId), taskId },
    matches: () => true,
    render: (event: TaskEvent) => Promise.resolve(String(numberOf(event))),
    renderingCost: 1,
    ...topic,
  };
  const start = { position, initialEvent, settledPosition };
  const subscriber = broadcaster.subscribe(options, start, { ...working, ...sink });
  subscribers.push(subscriber);
  return { seen, closings, subscriber };
}
interface Replacements {
  sink?: Partial<EventSink>;
  topic?: Partial<TopicOptions>;
  initialEvent?: TaskEvent | null;
  settledPosition?: bigint | null;
}

const numbersUpTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe('a connection that throws', () => {
  test.each<[string, Partial<EventSink>]>([
    ['when it sends', { send: breaks }],
    ['when it sends a batch', { batch: breaks }],
    ['when it says how much it has buffered', Object.defineProperty({}, 'bufferedBytes', { get: breaks })],
  ])('%s live events is closed, and others miss none of them', async (_when, brokenSink) => {
    const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
    const start = log.head;
    const sink: Partial<EventSink> = {};
    const before = subscribe(taskId, start);
    const broken = subscribe(taskId, start, { sink });
    const after = subscribe(taskId, start);
    const connections = [before, broken, after];
    await waitFor('all to be live', () => connections.every(({ subscriber }) => subscriber.state === 'live'));
    Object.defineProperties(broken.subscriber.sink, Object.getOwnPropertyDescriptors(brokenSink));
    await insertEvents(sql, taskId, 3);
    log.requestSeal();
    await waitFor('it to be closed', () => broken.closings.length > 0);
    await waitFor('the events', () => [before, after].every(({ seen }) => seen.length >= 3));
    await insertEvents(sql, taskId, 1);
    log.requestSeal();
    await waitFor('one more event', () => [before, after].every(({ seen }) => seen.length >= 4));
    expect([before.seen, after.seen]).toEqual([
      [1, 2, 3, 1],
      [1, 2, 3, 1],
    ]);
    expect(broken.seen).toEqual([]);
    expect(broken.closings).toEqual([`going-away ${start}`]);
    expect(broken.subscriber.state).toBe('closed');
    expect(logged.join()).toContain('the connection is broken');
  });

  test('while it catches up is closed with an error in the log, and its cursor is that of the last event it got', async () => {
    const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
    const start = log.head;
    await insertEvents(sql, taskId, 5);
    log.requestSeal();
    await waitFor('sealing', () => log.head === start + 5n);
    const seen: number[] = [];
    const send = (text: string) => void (text === '4' ? breaks() : seen.push(Number(text)));
    const { closings } = subscribe(taskId, start, { sink: { send } });
    await waitFor('it to be closed', () => closings.length > 0);
    expect(seen).toEqual([1, 2, 3]);
    expect(closings).toEqual([`going-away ${start + 3n}`]);
    expect(logged.join()).toContain('the connection is broken');
    expect(broadcaster['topics'].size).toBe(0);
  });

  test('when it gets its first event is closed, and when closing throws as well it is left', async () => {
    const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
    const initialEvent = { position: log.head, workspaceId, taskId, data: { n: 1 } } as unknown as TaskEvent;
    const { subscriber } = subscribe(taskId, log.head, {
      initialEvent,
      sink: { send: breaks, close: breaks },
    });
    await waitFor('it to be closed', () => subscriber.state === 'closed');
    expect(logged).toHaveLength(2);
  });

  test('when its task is complete is left, and others of the task are completed', async () => {
    const [taskId = ''] = await addFinishedTasks(sql, workspaceId, 1);
    let completed = 0;
    const settledPosition = log.head;
    const complete = () => void (completed += 1);
    const broken = subscribe(taskId, 0n, { sink: { complete: breaks }, settledPosition });
    subscribe(taskId, 0n, { sink: { complete }, settledPosition });
    await waitFor('the other one to be completed', () => completed === 1);
    await waitFor('it to be closed', () => broken.closings.length === 1);
    expect(logged.join()).toContain('the connection is broken');
  });
});

describe('a filter that throws', () => {
  test('closes the connections that it is for, and others miss nothing', async () => {
    const [taskId = '', other = ''] = await addFinishedTasks(sql, workspaceId, 2);
    const start = log.head;
    const broken = subscribe(taskId, start, { topic: { matches: breaks, key: newId() } });
    const working = [subscribe(taskId, start), subscribe(other, start)];
    await waitFor('all to be live', () => working.every(({ subscriber }) => subscriber.state === 'live'));
    await insertEvents(sql, taskId, 2);
    await insertEvents(sql, other, 2);
    log.requestSeal();
    await waitFor('it to be closed', () => broken.closings.length > 0);
    await waitFor('the events', () => working.every(({ seen }) => seen.length >= 2));
    for (const { seen } of working) expect(seen).toEqual(numbersUpTo(2));
    expect(broken.closings).toEqual([`going-away ${start}`]);
    expect(logged).not.toEqual([]);
  });
});
