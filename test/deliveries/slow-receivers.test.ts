import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Peer, reply, silence } from '../net/peer.js';
import { TestApp } from '../support/app.js';
import { waitFor } from '../support/wait-for.js';
import { addEnded, LOOPBACK, resultOf } from './receiving.js';

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
  await app.rows('DELETE FROM outgoing_callbacks');
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
    let [open, most] = [0, 0];
    other.answer = (response, received) => {
      open += 1;
      most = Math.max(most, open);
      setTimeout(() => {
        open -= 1;
        reply(503, '')(response, received);
      }, 50);
    };
    await addEnded(app, `${other.url}/hook`, 30);
    await waitFor('all of them', () => other.received.length === 30);
    expect(most).toBe(8);

    await waitFor('the last answer', () => open === 0);
    other.answer = (response) => response.destroy();
    await addEnded(app, `${other.url}/hook`, 20);
    await waitFor('those that were broken off', () => other.received.length >= 50);
    const before = other.received.length;
    other.answer = silence;
    await addEnded(app, `${other.url}/hook`, 20);
    await waitFor('one more', () => other.received.length > before);
    // Time for as many more as there might be.
    await slowestOfAnother();
    expect(other.received.length).toBe(before + 1);
  });
});

async function slowestOfAnother(): Promise<void> {
  const third = await Peer.open(reply(200, ''));
  hung.push(third);
  const ids = await addEnded(app, `${third.url}/hook`, 20);
  await waitFor('a third receiver', () => third.received.length === ids.length);
}
