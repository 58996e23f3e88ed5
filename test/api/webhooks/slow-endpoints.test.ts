import { type ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Peer, reply, silence } from '../../support/net/http-peer.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';
import { addEnded, LOOPBACK, resultOf } from '../../support/webhooks/received-webhooks.js';

/** How much longer a callback may take beside hung receivers on a busy machine; waiting for one of them takes 15 s. */
const TOLERATED_MS = 3_000;

let app: TestApp;
let other: Peer;
let hung: Peer[];

beforeAll(async () => {
  app = await TestApp.start({ environment: LOOPBACK });
});
afterAll(() => app.stop());
beforeEach(async () => {
  other = await Peer.open(reply(200, ''));
  hung = [];
});
afterEach(async () => {
  await app.rows('TRUNCATE outgoing_callbacks, deliveries');
  await Promise.all([other, ...hung].map((peer) => peer.close()));
});

async function hang(receivers: number, tasks: number): Promise<void> {
  hung = await Promise.all(Array.from({ length: receivers }, () => Peer.open(silence)));
  await Promise.all(hung.map(({ url }) => addEnded(app, `${url}/hook`, tasks)));
  await waitFor('an attempt at each', () => hung.every(({ received }) => received.length > 0));
}
/** The longest time between a row and its arrival, of so many for the other receiver. */
async function slowest(count: number): Promise<number> {
  const arrivals = new Map<string, number>();
  other.answer = (response, received) => {
    arrivals.set(resultOf(received).task_id, Date.now());
    reply(200, '')(response, received);
  };
  const ids = await addEnded(app, `${other.url}/hook`, count);
  await waitFor(`${count} callbacks`, () => ids.every((id) => arrivals.has(id)), { timeoutMs: 20_000 });
  const rows = await app.rows<{ id: string; at: Date }>(
    'SELECT task_id AS id, created_at AS at FROM outgoing_callbacks WHERE task_id = ANY($1)',
    [ids],
  );
  return Math.max(...rows.map(({ id, at }) => (arrivals.get(id) ?? Infinity) - at.getTime()));
}
function attempts(): number[] {
  return hung.map(({ received }) => received.length);
}

describe('callbacks for one receiver', () => {
  test('do not wait for another one that hangs, with 40 tasks before it', async () => {
    const alone = await slowest(50);
    await hang(1, 40);
    expect(await slowest(50)).toBeLessThan(alone + TOLERATED_MS);
    // It has not answered yet, so it has one attempt and not eight.
    expect(attempts()).toEqual([1]);
  });

  test('do not wait for 40 that hang, with 25 tasks before each', async () => {
    const alone = await slowest(60);
    await hang(40, 25);
    expect(await slowest(60)).toBeLessThan(alone + TOLERATED_MS);
    expect(attempts()).toEqual(Array(40).fill(1));
  });

  test('come eight at once when it answers, and one by one again when it falls silent', async () => {
    other.answer = reply(503, '');
    await addEnded(app, `${other.url}/hook`, 1);
    await waitFor('its first answer', async () => (await app.rows('SELECT FROM deliveries')).length > 0);
    const held: ServerResponse[] = [];
    other.answer = (response) => held.push(response);
    await addEnded(app, `${other.url}/hook`, 30);
    await waitFor('eight of them', () => held.length === 8);
    await othersAreServed();
    expect(held).toHaveLength(8);

    other.answer = silence;
    for (const response of held) response.destroy();
    await waitFor('the next one', () => other.received.length === 10);
    await othersAreServed();
    expect(other.received).toHaveLength(10);
  });
});

/** Time for as many more as there might be. */
async function othersAreServed(): Promise<void> {
  const third = await Peer.open(reply(200, ''));
  hung.push(third);
  const ids = await addEnded(app, `${third.url}/hook`, 20);
  await waitFor('a third receiver', () => third.received.length === ids.length);
}
