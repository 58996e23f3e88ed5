import { brotliCompressSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { PayloadTooLarge } from '../../../src/core/errors.js';
import { NoFreeSlot } from '../../../src/core/limits/fair-slots.js';
import { Decompressor } from '../../../src/http/limits/decompressor.js';

const MAX_BYTES = 1024 * 1024;
const BOMB = brotliCompressSync(Buffer.alloc(64 * MAX_BYTES, ' '));
const SMALL = gzipSync('{}');
const HOSTILE = { encoding: 'br', maxBytes: MAX_BYTES, owner: 'hostile', isUrgent: false };
const HONEST = { encoding: 'gzip', maxBytes: MAX_BYTES, owner: 'honest', isUrgent: false };

/** Sends bombs. Returns how many have ended. */
function sendBombs(decompressor: Decompressor, count: number, ownerOf = () => 'hostile') {
  let ended = 0;
  const bombs = Array.from({ length: count }, () =>
    decompressor.decompress(BOMB, { ...HOSTILE, owner: ownerOf() }).catch((error: unknown) => {
      expect(error).toBeInstanceOf(PayloadTooLarge);
      ended += 1;
    }),
  );
  return { ended: () => ended, all: Promise.all(bombs) };
}

describe('decompression', () => {
  test('takes a part of a processor, however many bodies wait', async () => {
    const decompressor = new Decompressor();
    const start = process.cpuUsage();
    const startedAt = performance.now();
    await sendBombs(decompressor, 100).all;
    const { user, system } = process.cpuUsage(start);
    // A quarter, and a burst of 100 ms.
    expect((user + system) / 1_000 / (performance.now() - startedAt)).toBeLessThan(0.6);
  });

  test('of one workspace does not wait for all bodies of another', async () => {
    const decompressor = new Decompressor();
    const bombs = sendBombs(decompressor, 40);
    expect((await decompressor.decompress(SMALL, HONEST)).toString()).toBe('{}');
    expect(bombs.ended()).toBeLessThan(10);
    await bombs.all;
  });

  test('of an upstream callback comes before the bodies of all workspaces', async () => {
    const decompressor = new Decompressor();
    let owners = 0;
    const bombs = sendBombs(decompressor, 40, () => String((owners += 1)));
    await decompressor.decompress(SMALL, { ...HONEST, isUrgent: true });
    expect(bombs.ended()).toBeLessThan(10);
    await bombs.all;
  });

  test('charges what a body takes, and not how long it waits for the event loop', async () => {
    const decompressor = new Decompressor();
    const blockLoop = setInterval(() => {
      const end = performance.now() + 15;
      while (performance.now() < end);
    }, 16);
    const start = performance.now();
    for (let n = 0; n < 100; n += 1) await decompressor.decompress(SMALL, HONEST);
    const busyMs = performance.now() - start;
    clearInterval(blockLoop);
    // With four times its waiting added, it would be five times as long.
    const idleStart = performance.now();
    await decompressor.decompress(SMALL, HONEST);
    expect(performance.now() - idleStart).toBeLessThan(busyMs / 10);
  });

  test('does not happen for a client that has left', async () => {
    const decompressor = new Decompressor();
    const bombs = sendBombs(decompressor, 20);
    const left = new AbortController();
    const body = decompressor.decompress(SMALL, { ...HOSTILE, encoding: 'gzip', signal: left.signal });
    left.abort();
    await expect(body).rejects.toBeInstanceOf(NoFreeSlot);
    expect(bombs.ended()).toBeLessThan(20);
    await bombs.all;
  });
});
