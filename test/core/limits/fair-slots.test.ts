import { describe, expect, test } from '@jest/globals';
import { FairSlots, NoFreeSlot, type SlotRequest } from '../../../src/core/limits/fair-slots.js';

/** Fills the slots, lets the requests wait, and returns the order in which they start when the slots become free. */
async function orderOf(slots: FairSlots, requests: (SlotRequest & { name: string })[]): Promise<string[]> {
  const release = await slots.acquire({ owner: 'first', weight: Infinity });
  const started: string[] = [];
  const works = requests.map(({ name, ...request }) =>
    slots.run(request, () => Promise.resolve(void started.push(name))),
  );
  expect(started).toEqual([]);
  release();
  await Promise.all(works);
  return started;
}

const named = (name: string, request: Partial<SlotRequest> = {}) => ({
  name,
  owner: name[0] ?? '',
  ...request,
});

describe('FairSlots', () => {
  test('starts what waits in turns by owner, and keeps the order of each owner', async () => {
    const names = ['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'b2'];
    const order = await orderOf(
      new FairSlots({ capacity: 1 }),
      names.map((name) => named(name)),
    );
    expect(order).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3', 'a4']);
  });

  test('starts work of other owners before more of the owner whose work has just ended', async () => {
    const slots = new FairSlots({ capacity: 2, maxPerOwner: 1 });
    const release = await slots.acquire({ owner: 'a' });
    await slots.acquire({ owner: 'b' });
    const started: string[] = [];
    const start = (owner: string) => slots.acquire({ owner }).then(() => started.push(owner));
    const works = [start('a'), start('b'), start('c')];
    release();
    await works[2];
    expect(started).toEqual(['c']);
  });

  test('starts urgent work first, and other work after three of it in a row', async () => {
    const order = await orderOf(new FairSlots({ capacity: 1 }), [
      named('a1'),
      named('a2'),
      ...['b1', 'b2', 'b3', 'b4', 'b5'].map((name) => named(name, { isUrgent: true })),
    ]);
    expect(order).toEqual(['b1', 'b2', 'b3', 'a1', 'b4', 'b5', 'a2']);
  });

  test('leaves to other owners what is above the share of one', async () => {
    const slots = new FairSlots({ capacity: 4, maxPerOwner: 2 });
    await slots.acquire({ owner: 'a' });
    const releaseSecond = await slots.acquire({ owner: 'a' });
    let isThirdStarted = false;
    const third = slots.acquire({ owner: 'a' }).then(() => (isThirdStarted = true));
    await slots.acquire({ owner: 'b' });
    await slots.acquire({ owner: 'c' });
    expect(isThirdStarted).toBe(false);
    releaseSecond();
    await third;
  });

  test('does not let light work overtake heavy work for ever', async () => {
    const slots = new FairSlots({ capacity: 4 });
    const release = await slots.acquire({ owner: 'a', weight: 2 });
    const started: string[] = [];
    const works = [named('heavy', { weight: 4 }), named('light', { weight: 1 })].map(({ name, ...request }) =>
      slots.run(request, () => Promise.resolve(void started.push(name))),
    );
    release();
    await Promise.all(works);
    expect(started).toEqual(['heavy', 'light']);
  });

  test('runs work alone that weighs more than the share or all there is', async () => {
    const slots = new FairSlots({ capacity: 4, maxPerOwner: 2 });
    await expect(slots.run({ owner: 'a', weight: 9 }, () => Promise.resolve('done'))).resolves.toBe('done');
  });

  test('gives up in time, and then keeps nothing waiting', async () => {
    const slots = new FairSlots({ capacity: 2 });
    const release = await slots.acquire({ owner: 'a' });
    const heavy = slots.acquire({ owner: 'b', weight: 2, maxWaitMs: 5 });
    const light = slots.acquire({ owner: 'c' });
    await expect(heavy).rejects.toBeInstanceOf(NoFreeSlot);
    (await light)();
    release();
    release();
    await expect(slots.acquire({ owner: 'a', weight: 2 })).resolves.toBeInstanceOf(Function);
    await expect(slots.acquire({ owner: 'a', maxWaitMs: 0 })).rejects.toBeInstanceOf(NoFreeSlot);
  });

  test('starts no work whose caller has left, and does not let it keep others waiting', async () => {
    const slots = new FairSlots({ capacity: 2 });
    const release = await slots.acquire({ owner: 'a' });
    const leaving = new AbortController();
    const { signal } = leaving;
    const started: string[] = [];
    const start = (name: string) => () => Promise.resolve(void started.push(name));
    const heavy = slots.run({ owner: 'a', weight: 2, signal }, start('heavy'));
    const light = slots.run({ owner: 'a' }, start('light'));
    leaving.abort();
    await expect(heavy).rejects.toBeInstanceOf(NoFreeSlot);
    await light;
    release();
    await expect(slots.run({ owner: 'a', signal }, start('late'))).rejects.toBeInstanceOf(NoFreeSlot);
    expect(started).toEqual(['light']);
  });

  test('releases a slot when the work fails', async () => {
    const slots = new FairSlots({ capacity: 1 });
    const fault = new Error('a fault');
    await expect(slots.run({ owner: 'a' }, () => Promise.reject(fault))).rejects.toBe(fault);
    await expect(slots.run({ owner: 'a' }, () => Promise.resolve(1))).resolves.toBe(1);
  });

  test('refuses a weight that is no integer, because its sums would not return to where they were', async () => {
    await expect(new FairSlots({ capacity: 2 }).acquire({ owner: '', weight: 0.15 })).rejects.toThrow(
      'must be an integer',
    );
  });
});
