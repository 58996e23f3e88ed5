import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { waitFor } from '../../support/wait-for.js';
import { Decoders } from '../../../src/storage/processing/decoders.js';

const turn = { workspaceId: 'a', isPaid: true };

describe('Decoders', () => {
  test('count the time of the work only, not of waiting for a slot', async () => {
    const decoders = new Decoders(1_000);
    // With two slots, the last one waits for longer than a decode may take.
    const works = Array.from({ length: 25 }, (_, index) => decoders.run(turn, () => delay(100, index)));
    await expect(Promise.all(works)).resolves.toHaveLength(25);
  });

  // Enforces MAX_CONCURRENT_DECODES in src/storage/processing/decoders.ts.
  test('reject at once what waits and what comes while all of them hang', async () => {
    const decoders = new Decoders(50);
    let end: () => void = () => {};
    const hanging = new Promise<void>((resolve) => (end = resolve));
    const works = [1, 2, 3, 4].map(() => decoders.run(turn, () => hanging));
    const outcomes = await Promise.allSettled(works);
    expect(outcomes.map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
    await expect(decoders.run(turn, () => Promise.resolve())).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
    end();
    await waitFor('a free decoder', () => decoders.run(turn, () => Promise.resolve(true)).catch(() => false));
  });

  test('go on with one of them while another hangs', async () => {
    const decoders = new Decoders(50);
    await expect(decoders.run(turn, () => new Promise(() => {}))).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
    const works = [1, 2, 3].map((index) => decoders.run(turn, () => Promise.resolve(index)));
    await expect(Promise.all(works)).resolves.toEqual([1, 2, 3]);
  });

  // Enforces SLOTS_FOR_PAID in src/storage/processing/decoders.ts.
  test('leave one of them to paid images, however long uploads and variants take', async () => {
    const decoders = new Decoders();
    const endings: (() => void)[] = [];
    const hold = () => new Promise<void>((resolve) => endings.push(resolve));
    const uploads = [1, 2].map(() => decoders.run({ workspaceId: 'a', isPaid: false }, hold));
    const upload = decoders.run({ workspaceId: 'c', isPaid: false }, hold);
    let isDecoded = false;
    const paid = decoders
      .run({ workspaceId: 'b', isPaid: true }, () => Promise.resolve())
      .then(() => (isDecoded = true));
    await waitFor('the paid image', () => isDecoded);
    await paid;
    expect(endings).toHaveLength(1);
    for (const count of [1, 2, 3]) {
      await waitFor('the next upload', () => endings.length === count);
      endings[count - 1]?.();
    }
    await Promise.all([...uploads, upload]);
  });

  test('take uploads and variants while one of those hangs', async () => {
    const decoders = new Decoders(50);
    const upload = { workspaceId: 'a', isPaid: false };
    const hanging = decoders.run(upload, () => new Promise(() => {}));
    const waiting = [1, 2, 3].map((index) => decoders.run(upload, () => Promise.resolve(index)));
    await expect(hanging).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await expect(Promise.all(waiting)).resolves.toEqual([1, 2, 3]);
  });

  test('reject at once the uploads and variants that wait while all of them hang', async () => {
    const decoders = new Decoders(50);
    const upload = { workspaceId: 'a', isPaid: false };
    const hang = () => new Promise(() => {});
    const works = [turn, upload, upload, upload].map((each) => decoders.run(each, hang));
    const outcomes = await Promise.allSettled(works);
    expect(outcomes.map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
    await expect(decoders.run(upload, () => Promise.resolve())).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
    });
  });
});
