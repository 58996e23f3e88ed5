import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { decode } from '../../../src/storage/processing/decode.js';
import { UNPAID_DECODING_MEMORY_BYTES } from '../../../src/storage/processing/decoding-memory.js';
import { waitFor } from '../../support/wait-for.js';
import { detectFileFormat } from '../../../src/storage/processing/image-format.js';

const paidTurn = { workspaceId: 'a', isPaid: true };
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
      decode(path, { turn: paidTurn }, async (image) => {
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

  test.each([
    // Decoding it takes 149 of the 160 MB, and the paid one, reduced like a paid image, about 37 MB.
    ['square', { width: 2048, height: 2048 }, 5000, 'NeedsOwnProcess'],
    // As much as an upload may take here, and the paid one about 44 MB.
    ['wide', { width: 3136, height: 1344 }, (UNPAID_DECODING_MEMORY_BYTES - 22_900_000) / 24_000, undefined],
  ])(
    'leaves a %s paid image memory for it, however much an upload takes',
    async (shape, size, height, outcome) => {
      const [large, paid] = [join(folder, `progressive-${shape}`), join(folder, `paid-${shape}`)];
      const blank = (width: number, height: number) =>
        sharp({ create: { width, height, channels: 3, background: '#00f' } });
      await blank(size.width, size.height).webp({ effort: 0 }).toFile(paid);
      await blank(4000, Math.floor(height)).jpeg({ progressive: true }).toFile(large);
      let end: () => void = () => undefined;
      const mayEnd = new Promise<void>((resolve) => (end = resolve));
      let isUnderWay = false;
      const upload = decode(large, { turn: { workspaceId: 'a', isPaid: false } }, () => {
        isUnderWay = true;
        return mayEnd;
      }).catch((error: Error) => {
        isUnderWay = true;
        return error.name;
      });
      await waitFor('the upload', () => isUnderWay);
      let isDecoded = false;
      const decoding = decode(paid, { turn: { workspaceId: 'b', isPaid: true }, maxWidth: 100 }, () =>
        Promise.resolve((isDecoded = true)),
      );
      await waitFor('the paid image', () => isDecoded).finally(end);
      await decoding;
      await expect(upload).resolves.toBe(outcome);
    },
  );

  test('waits for free memory, also after a failure', async () => {
    const large = join(folder, 'large');
    const blank = { create: { width: 2000, height: 1500, channels: 3, background: '#00f' } } as const;
    await sharp(blank).png().toFile(large);
    let endFirst: (reason: Error) => void = () => undefined;
    let first: Promise<never> | undefined;
    await new Promise<void>((resolve) => {
      // Encoding as AVIF takes about 120 of the 160 MB.
      first = decode(large, { format: () => 'avif', turn: paidTurn }, () => {
        resolve();
        return new Promise<never>((_, reject) => (endFirst = reject));
      });
    });
    let secondHasStarted = false;
    const second = decode(large, { format: () => 'avif', turn: paidTurn }, () =>
      Promise.resolve((secondHasStarted = true)),
    );
    // Takes far longer than `second` needs to read its header.
    await sharp(large).stats();
    expect(secondHasStarted).toBe(false);
    endFirst(new TypeError('first failed'));
    await expect(first).rejects.toThrow('first failed');
    await expect(second).resolves.toBe(true);
  });

  test('decodes a paid image after the uploads that are being decoded, not after those that wait', async () => {
    let endFirst: () => void = () => undefined;
    const firstMayEnd = new Promise<void>((resolve) => (endFirst = resolve));
    const order: string[] = [];
    const decodeFor = (name: string, turn: { workspaceId: string; isPaid: boolean }) =>
      decode(path, { turn }, async () => {
        await firstMayEnd;
        order.push(name);
      });
    const works = Array.from({ length: 64 }, () => decodeFor('upload', { workspaceId: 'a', isPaid: false }));
    works.push(decodeFor('paid', { workspaceId: 'b', isPaid: true }));
    works.push(decodeFor('other', { workspaceId: 'c', isPaid: false }));
    // The first bytes are read in this order, so all of them wait for their turns afterwards.
    for (let reads = 0; reads < 3; reads += 1) await detectFileFormat(path);
    endFirst();
    await Promise.all(works);
    expect(order.indexOf('paid')).toBeLessThan(5);
    expect(order.indexOf('other')).toBeLessThan(8);
  });

  test('does not blame the image for an error of the caller', async () => {
    const fault = new TypeError('a mistake');
    await expect(decode(path, {}, () => Promise.reject(fault))).rejects.toBe(fault);
    await expect(decode(path, {}, (image) => image.metadata())).resolves.toMatchObject({ width: 300 });
  });
});
