import { randomBytes } from 'node:crypto';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { type WorkOwner } from '../../../src/core/limits/work-owner.js';
import { PayloadTooLarge } from '../../../src/core/errors.js';
import { NoFreeSlot } from '../../../src/core/limits/fair-slots.js';
import { Decompressor } from '../../../src/http/limits/decompressor.js';

const MAX_BYTES = 1024 * 1024;
const BOMB = brotliCompressSync(Buffer.alloc(64 * MAX_BYTES, ' '));
const SMALL = gzipSync('{}');
const HOSTILE = { encoding: 'br', maxBytes: MAX_BYTES, owner: ownerOf('hostile') };
const HONEST = { encoding: 'gzip', maxBytes: MAX_BYTES, owner: ownerOf('honest') };

function ownerOf(workspaceId: string, endUserId: string | null = null): WorkOwner {
  return { workspaceId, endUserId };
}

const BLOCK_BITS = 90;
/** Deflated bytes of nothing but blocks that have code tables and no content. */
function codeTables(length: number): Buffer {
  const bits: number[] = [];
  const put = (value: number, count: number) => {
    for (let n = 0; n < count; n += 1) bits.push((value >> n) & 1);
  };
  const putBlock = (isLast: boolean) => {
    put(isLast ? 1 : 0, 1);
    put(2, 2);
    put(0, 5); // 257 literal codes
    put(0, 5); // 1 distance code
    put(14, 4); // 18 code length codes
    // In their order: 16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1
    const lengths: Record<number, number> = { 2: 1, 17: 1 };
    for (let n = 0; n < 18; n += 1) put(lengths[n] ?? 0, 3);
    // Code length symbols: 1 is `0`, and 18 (many zeros) is `1`. 256 zeros, a 1 for the end of the block, a 1 for the distance.
    put(1, 1);
    put(127, 7);
    put(1, 1);
    put(107, 7);
    put(0, 1);
    put(0, 1);
    put(0, 1); // the end of the block
  };
  const blocks = Math.floor((length * 8) / BLOCK_BITS);
  for (let n = 0; n < blocks; n += 1) putBlock(n === blocks - 1);
  const raw = Buffer.alloc(Math.ceil(bits.length / 8));
  bits.forEach((bit, n) => (raw[n >> 3] = (raw[n >> 3] ?? 0) | (bit << (n & 7))));
  // zlib's header, and the checksum of nothing.
  return Buffer.concat([Buffer.from([0x78, 0x9c]), raw, Buffer.from([0, 0, 0, 1])]);
}

/** The least that any of these bodies is charged at most, however long it takes on a slow machine. */
const MOST_MS_PER_BODY = 15;
/** Enough to tell a quarter of a processor from two. */
const BODIES = 80;

async function durationOf(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work().catch(() => undefined);
  return performance.now() - startedAt;
}

/** Sends bombs. Returns how many have ended. */
function sendBombs(decompressor: Decompressor, count: number, nextOwner = () => HOSTILE.owner) {
  let ended = 0;
  const bombs = Array.from({ length: count }, () =>
    decompressor.decompress(BOMB, { ...HOSTILE, owner: nextOwner() }).catch((error: unknown) => {
      expect(error).toBeInstanceOf(PayloadTooLarge);
      ended += 1;
    }),
  );
  return { ended: () => ended, all: Promise.all(bombs) };
}

describe('decompression', () => {
  // Enforces MAX_DECOMPRESSED_BYTES in src/http/limits/decompressor.ts.
  test.each([
    ['bombs', BOMB, 'br', MAX_BYTES],
    // The decoder fills its window first.
    ['bombs with a small bound', BOMB, 'br', 64 * 1024],
    ['code tables without content', codeTables(200_000), 'deflate', MAX_BYTES],
  ])('takes a part of a processor, however many %s wait', async (_, body, encoding, maxBytes) => {
    const decompressor = new Decompressor();
    const options = { ...HOSTILE, encoding, maxBytes };
    const aloneMs: number[] = [];
    // The share of a new one is not spent.
    for (let n = 0; n < 5; n += 1)
      aloneMs.push(await durationOf(() => new Decompressor().decompress(body, options)));
    const togetherMs = await durationOf(() =>
      Promise.allSettled(Array.from({ length: BODIES }, () => decompressor.decompress(body, options))),
    );
    // A quarter, and a burst of 100 ms. Some of the last ones are still charged for.
    const chargedMs = 0.8 * BODIES * Math.min(MOST_MS_PER_BODY, ...aloneMs);
    expect(togetherMs).toBeGreaterThan((chargedMs - 100) / 0.25);
  });

  test('of one workspace does not wait for all bodies of another', async () => {
    const decompressor = new Decompressor();
    const bombs = sendBombs(decompressor, 40);
    expect((await decompressor.decompress(SMALL, HONEST)).toString()).toBe('{}');
    expect(bombs.ended()).toBeLessThan(10);
    await bombs.all;
  });

  test.each(['honest', null])(
    'of the end user %p does not wait for all of another one',
    async (endUserId) => {
      const decompressor = new Decompressor();
      const bombs = sendBombs(decompressor, 40, () => ownerOf('shared', 'hostile'));
      await decompressor.decompress(SMALL, { ...HONEST, owner: ownerOf('shared', endUserId) });
      expect(bombs.ended()).toBeLessThan(10);
      await bombs.all;
    },
  );

  test('of an upstream callback comes before the bodies of all workspaces', async () => {
    const decompressor = new Decompressor();
    let owners = 0;
    const bombs = sendBombs(decompressor, 40, () => ownerOf(String((owners += 1))));
    await decompressor.decompress(SMALL, { ...HONEST, owner: null });
    expect(bombs.ended()).toBeLessThan(10);
    await bombs.all;
  });

  test('leaves room for the largest body, whatever was decompressed before', async () => {
    const decompressor = new Decompressor();
    const owner = ownerOf('a workspace');
    const random = randomBytes(60_000);
    const gzip = (length: number) => ({ body: gzipSync(random.subarray(0, length)), encoding: 'gzip' });
    const bodies = [gzip(30_011), gzip(41_117), { body: brotliCompressSync(random), encoding: 'br' }];
    for (let round = 0; round < 20; round += 1)
      await Promise.all(
        bodies.map(({ body, encoding }) =>
          decompressor.decompress(body, { encoding, maxBytes: MAX_BYTES, owner }),
        ),
      );
    const callback = { encoding: 'br', maxBytes: 10 * MAX_BYTES, owner: null };
    expect((await decompressor.decompress(brotliCompressSync('{}'), callback)).toString()).toBe('{}');
    expect((await decompressor.decompress(SMALL, HONEST)).toString()).toBe('{}');
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

  test('of small bodies does not take a turn of a busy event loop for each', async () => {
    const decompressor = new Decompressor();
    let turns = 0;
    const blockLoop = setInterval(() => {
      turns += 1;
      const end = performance.now() + 10;
      while (performance.now() < end);
    }, 1);
    const bodies = Array.from({ length: 300 }, () => decompressor.decompress(SMALL, HONEST));
    await Promise.all(bodies);
    clearInterval(blockLoop);
    expect(turns).toBeLessThan(100);
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
