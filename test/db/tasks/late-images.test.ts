import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { newId } from '../../../src/core/primitives/ids.js';
import { LedgerFixture } from '../../support/billing/ledger-fixture.js';
import { waitFor } from '../../support/wait-for.js';

let world: LedgerFixture;
beforeAll(async () => {
  world = await LedgerFixture.open();
});
afterAll(async () => world.close());

const imagesOf = (...urls: string[]) =>
  urls.map((upstreamUrl, index) => ({
    ...{ id: newId(), index, upstreamUrl, seed: null, inferenceSeconds: null, upstreamMetadata: {} },
  }));
const numbered = (...numbers: number[]) => imagesOf(...numbers.map((n) => `https://x.example/${n}.png`));
const addLate = (id: string, images: ReturnType<typeof imagesOf>) =>
  world.tasks.addLateImages(id, { images, actor: 'test' });

/** A task for up to 4 images that expired after it was submitted. */
async function expiredTask(): Promise<string> {
  const id = await world.requestOrThrow(4);
  await world.send(id);
  await world.accept(id);
  await world.expire(id);
  return id;
}

/** The URLs of the task's images, which have the indexes from 0. Its counts and its ledger must agree with them. */
async function knownUrls(id: string): Promise<string[]> {
  const { rows } = await world.sql.query<{ url: string; index: number }>(
    'SELECT upstream_url AS url, index FROM images WHERE task_id = $1 ORDER BY index',
    [id],
  );
  expect(rows.map(({ index }) => index)).toEqual(rows.map((_, n) => n));
  const counts = await world.sql.query(
    `SELECT delivered_count + late_image_count AS images, (spent / unit_price)::int AS spent, uncertain::float,
       (SELECT (sum(amount) / unit_price)::int FROM ledger_entries WHERE task_id = tasks.id AND account = 'spent') AS paid
     FROM tasks WHERE id = $1`,
    [id],
  );
  const count = rows.length;
  expect(counts.rows).toEqual([{ images: count, spent: count, uncertain: 0, paid: count }]);
  expect(await world.countDrift()).toBe(0);
  return rows.map(({ url }) => url);
}

test('two results at once add each image once and leave none out', async () => {
  const id = await world.requestOrThrow(4);
  await world.send(id);
  await world.tasks.transitionTo(id, 'SUCCEEDED', { images: numbered(0) });

  const lockWaits = (count: number) =>
    waitFor(`${count} statements to wait for the task`, async () => {
      const { rows } = await world.sql.query(
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
      );
      return rows.length === count;
    });
  const holder = await world.sql.connect();
  try {
    await holder.query('BEGIN');
    await holder.query('SELECT FROM tasks WHERE id = $1 FOR UPDATE', [id]);
    const first = addLate(id, numbered(0, 1));
    await lockWaits(1);
    const second = addLate(id, numbered(0, 1, 2));
    await lockWaits(2);
    await holder.query('COMMIT');
    await expect(Promise.all([first, second])).resolves.toEqual([true, true]);
  } finally {
    holder.release();
  }
  expect(await knownUrls(id)).toEqual(numbered(0, 1, 2).map(({ upstreamUrl }) => upstreamUrl));
});

describe('a result for a task that has ended', () => {
  test('adds the images that the task lacks, although it has no more images than are known', async () => {
    const id = await expiredTask();
    await expect(addLate(id, numbered(1))).resolves.toBe(true);
    await expect(addLate(id, numbered(2))).resolves.toBe(true);
    await expect(addLate(id, numbered(2, 3))).resolves.toBe(true);
    for (const known of [numbered(1), numbered(3, 1), numbered(1, 2, 3)])
      await expect(addLate(id, known)).resolves.toBe(false);
    expect(await knownUrls(id)).toEqual(numbered(1, 2, 3).map(({ upstreamUrl }) => upstreamUrl));
  });

  test('adds no image again whose URL has another signature', async () => {
    const id = await expiredTask();
    await addLate(id, imagesOf('https://x.example/1.png?signature=a', 'https://x.example/2.png?signature=b'));
    const signedAgain = imagesOf(
      'https://x.example/2.png?signature=c',
      'https://x.example/3.png?signature=d',
      'https://x.example/1.png',
    );
    await expect(addLate(id, signedAgain)).resolves.toBe(true);
    await expect(addLate(id, signedAgain)).resolves.toBe(false);
    expect(await knownUrls(id)).toEqual([
      'https://x.example/1.png?signature=a',
      'https://x.example/2.png?signature=b',
      'https://x.example/3.png?signature=d',
    ]);
  });

  test('adds as many images as the task lacks when their URLs differ only in the query', async () => {
    const id = await expiredTask();
    const view = (n: number) => `https://x.example/view?id=${n}`;
    await addLate(id, imagesOf(view(2)));
    await addLate(id, imagesOf(view(1), view(2), view(3)));
    await expect(addLate(id, imagesOf(view(1), view(2), view(3)))).resolves.toBe(false);
    expect(await knownUrls(id)).toEqual([view(2), view(1), view(3)]);
  });

  test('adds images until the task has 16', async () => {
    const id = await expiredTask();
    const range = (from: number, count: number) =>
      numbered(...Array.from({ length: count }, (_, n) => from + n));
    await addLate(id, range(0, 10));
    await expect(addLate(id, range(5, 16))).resolves.toBe(true);
    await expect(addLate(id, range(100, 1))).resolves.toBe(false);
    expect(await knownUrls(id)).toEqual(range(0, 16).map(({ upstreamUrl }) => upstreamUrl));
  });
});
