import { setImmediate as nextTick } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { workspaceVisibility } from '../../src/core/access/visibility.js';
import { type TaskEvent } from '../../src/core/events/task-event.js';
import { newId } from '../../src/core/primitives/ids.js';
import { MAX_COST_IN_PROGRESS, MAX_KEPT_CHARACTERS, Renderings } from '../../src/event-log/renderings.js';
import { Topic, type TopicOptions } from '../../src/event-log/topic.js';
import { waitFor } from '../support/wait-for.js';

const workspaceId = newId();
const log = pino({ level: 'silent' });
const events = Array.from(
  { length: 200 },
  (_, index) => ({ position: BigInt(index + 1), workspaceId }) as TaskEvent,
);

/** A topic whose renderings last until they are released, and what it has sent. */
function startTopic(renderings: Renderings, renderingCost: number, textOf: (event: TaskEvent) => string) {
  const rendering: (() => void)[] = [];
  const sent: bigint[] = [];
  const options = {
    key: newId(),
    scope: { ...workspaceVisibility(workspaceId), taskId: null },
    matches: () => true,
    render: async (event: TaskEvent) => {
      await new Promise<void>((resolve) => rendering.push(resolve));
      return textOf(event);
    },
    renderingCost,
  };
  const topic = new Topic(options, renderings, log);
  topic.subscribers.add({ receive: () => undefined, fallBack: () => undefined, cut: () => undefined });
  const send = async () => {
    let count = 0;
    while (count < events.length)
      count += await topic.render(events.slice(count), (batch) => {
        sent.push(...batch.map(({ position }) => position));
      });
  };
  const release = () => rendering.splice(0).forEach((resolve) => resolve());
  return { topic, rendering, sent, send, release };
}

/** A topic of a workspace with a subscriber. */
function topicOf(
  renderings: Renderings,
  ofWorkspace: string,
  { renderingCost, render }: Pick<TopicOptions, 'renderingCost' | 'render'>,
): Topic {
  const scope = { ...workspaceVisibility(ofWorkspace), taskId: null };
  const options = { key: newId(), scope, matches: () => true, render, renderingCost };
  const topic = new Topic(options, renderings, log);
  topic.subscribers.add({ receive: () => undefined, fallBack: () => undefined, cut: () => undefined });
  return topic;
}

describe('renderings', () => {
  test('of thousands of topics of one workspace do not make an event of another one wait', async () => {
    const renderings = new Renderings();
    let started = 0;
    let end: () => void = () => undefined;
    const mayEnd = new Promise<void>((resolve) => (end = resolve));
    const render = async () => {
      started += 1;
      await mayEnd;
      return 'text';
    };
    const first = events.slice(0, 1);
    const theirs = Array.from({ length: 2_000 }, () =>
      topicOf(renderings, workspaceId, { renderingCost: 50, render }).render(first, () => undefined),
    );
    const ours = topicOf(renderings, newId(), { renderingCost: 1, render: () => Promise.resolve('ours') });
    const sent: string[] = [];
    const isSent = ours.render(first, (_batch, texts) => void sent.push(...texts));
    await Promise.race([isSent, nextTick().then(() => nextTick())]);
    end();
    const whenEnded = { sent: [...sent], started };
    await Promise.all([...theirs, isSent]);
    expect(whenEnded.sent).toEqual(['ours']);
    expect(whenEnded.started).toBeLessThan(100);
    expect(started).toBe(2_000);
  });

  test('that are large of one workspace make those of another one wait for one of them', async () => {
    const renderings = new Renderings();
    const order: string[] = [];
    const topicsOf = (name: string, count: number) => {
      const ofWorkspace = newId();
      const render = () => Promise.resolve(void order.push(name)).then(() => 'x'.repeat(70 * 1024));
      return Array.from({ length: count }, () =>
        topicOf(renderings, ofWorkspace, { renderingCost: 1, render }),
      );
    };
    const topics = [...topicsOf('theirs', 20), ...topicsOf('ours', 1)];
    // A topic knows from its first event that its texts are large.
    for (const event of events.slice(0, 2)) {
      order.length = 0;
      await Promise.all(topics.map((topic) => topic.render([event], () => undefined)));
    }
    expect(order).toHaveLength(21);
    expect(order.indexOf('ours')).toBeLessThanOrEqual(2);
  });

  // Enforces MAX_COST_IN_PROGRESS in src/event-log/renderings.ts.
  test('of all topics together are bounded by their cost, and all events are sent in order', async () => {
    const renderings = new Renderings();
    const topics = Array.from({ length: 50 }, () => startTopic(renderings, 500, () => 'text'));
    const all = Promise.all(topics.map(({ send }) => send()));
    let mostCost = 0;
    const isDone = () => topics.every(({ sent }) => sent.length === events.length);
    while (!isDone()) {
      await nextTick();
      const count = topics.reduce((sum, { rendering }) => sum + rendering.length, 0);
      mostCost = Math.max(mostCost, count * 500);
      for (const { release } of topics) release();
    }
    await all;
    expect(mostCost).toBeGreaterThan(0);
    expect(mostCost).toBeLessThanOrEqual(MAX_COST_IN_PROGRESS);
    for (const { sent } of topics) expect(sent).toEqual(events.map(({ position }) => position));
  });

  // Enforces MAX_KEPT_CHARACTERS in src/event-log/renderings.ts.
  test('that were used last are kept, up to a number of characters', () => {
    const renderings = new Renderings();
    const text = 'x'.repeat(200 * 1024);
    const keys = Array.from({ length: 100 }, (_, n) => `event ${n}`);
    for (const key of keys) renderings.keep(key, text);
    const kept = keys.filter((key) => renderings.find(key) !== undefined);
    expect(kept).toEqual(keys.slice(-kept.length));
    expect(kept.length * text.length).toBeGreaterThan(0.9 * MAX_KEPT_CHARACTERS);
    expect(kept.length * text.length).toBeLessThanOrEqual(MAX_KEPT_CHARACTERS);
  });

  test('that are large are not kept, and are made one topic after another', async () => {
    const renderings = new Renderings();
    const large = 'x'.repeat(300 * 1024);
    const topics = [1, 2, 3].map(() => startTopic(renderings, 100, () => large));
    for (const { topic, release } of topics) {
      const first = topic.render(events.slice(0, 1), () => undefined);
      await nextTick();
      release();
      await first;
    }
    const [one, other] = topics;
    if (!one || !other) throw new Error('There is no topic.');
    const second = one.topic.render(events.slice(0, 1), () => undefined);
    await waitFor('the text to be made again', () => one.rendering.length === 1);
    const third = other.topic.render(events.slice(1, 2), () => undefined);
    for (let turn = 0; turn < 20; turn += 1) await nextTick();
    expect(other.rendering).toHaveLength(0);
    one.release();
    await second;
    await waitFor('the turn of the other topic', () => other.rendering.length === 1);
    other.release();
    await third;
  });
});
