import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { decode } from '../../../src/storage/processing/decode.js';
import { MemoryBudget } from '../../../src/storage/processing/decoding-memory.js';

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-decode-'));
  path = join(folder, 'image');
  await sharp({ create: { width: 300, height: 300, channels: 3, background: '#00f' } })
    .png()
    .toFile(path);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('decoding', () => {
  test('runs at most twice at the same time', async () => {
    let [running, most] = [0, 0];
    let onBothRunning: () => void = () => undefined;
    const bothRunning = new Promise<void>((resolve) => (onBothRunning = resolve));
    const runs = Array.from({ length: 8 }, () =>
      decode(path, {}, async (image) => {
        running += 1;
        most = Math.max(most, running);
        if (running === 2) onBothRunning();
        await bothRunning;
        await image.raw().toBuffer();
        running -= 1;
      }),
    );
    await Promise.all(runs);
    expect(most).toBe(2);
  });

  test('waits for free memory, and runs work that needs more than the total alone', async () => {
    const budget = new MemoryBudget(100);
    const order: string[] = [];
    const begin = (name: string, bytes: number) => {
      let end: () => void = () => undefined;
      const done = budget.runWithBytes(bytes, async () => {
        order.push(name);
        await new Promise<void>((resolve) => (end = resolve));
      });
      return { done, end: () => end() };
    };
    const [half, rest] = [begin('half', 50), begin('rest', 50)];
    const more = begin('more', 500);
    expect(order).toEqual(['half', 'rest']);
    half.end();
    await half.done;
    expect(order).toEqual(['half', 'rest']);
    rest.end();
    await rest.done;
    const failed = budget.runWithBytes(100, () => Promise.reject(new Error('broken')));
    await Promise.resolve();
    expect(order).toEqual(['half', 'rest', 'more']);
    more.end();
    await expect(failed).rejects.toThrow('broken');
    await expect(budget.runWithBytes(100, () => Promise.resolve('free again'))).resolves.toBe('free again');
  });

  test('does not blame the image for an error of the caller', async () => {
    const fault = new TypeError('a mistake');
    await expect(decode(path, {}, () => Promise.reject(fault))).rejects.toBe(fault);
    await expect(decode(path, {}, (image) => image.metadata())).resolves.toMatchObject({ width: 300 });
  });
});
