import { brotliCompressSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import { PayloadTooLarge } from '../../../src/core/errors.js';
import { Decompressor } from '../../../src/http/limits/decompressor.js';

const MAX_BYTES = 1024 * 1024;
const BOMB = brotliCompressSync(Buffer.alloc(64 * MAX_BYTES, ' '));
const SMALL = gzipSync('{}');
const noCheck = () => undefined;

const sendBomb = (decompressor: Decompressor) =>
  decompressor.decompress(BOMB, { encoding: 'br', maxBytes: MAX_BYTES, owner: 'hostile' }, noCheck);

describe('decompression', () => {
  test('takes a part of a processor, however many bodies wait', async () => {
    const decompressor = new Decompressor();
    let tookMs = 0;
    const start = performance.now();
    const measured = async () => {
      let turn = 0;
      await decompressor
        .decompress(BOMB, { encoding: 'br', maxBytes: MAX_BYTES, owner: 'hostile' }, () => {
          turn = performance.now();
        })
        .catch(() => undefined);
      tookMs += performance.now() - turn;
    };
    // Until well beyond the burst.
    while (tookMs < 500) await Promise.all(Array.from({ length: 10 }, measured));
    // A quarter, and a burst of 100 ms. The last one does not wait.
    expect(tookMs / (performance.now() - start)).toBeLessThan(0.5);
  });

  test('of one client does not wait for all bodies of another', async () => {
    const decompressor = new Decompressor();
    let ended = 0;
    const bombs = Array.from({ length: 40 }, () =>
      sendBomb(decompressor).catch((error: unknown) => {
        expect(error).toBeInstanceOf(PayloadTooLarge);
        ended += 1;
      }),
    );
    const body = decompressor.decompress(
      SMALL,
      { encoding: 'gzip', maxBytes: MAX_BYTES, owner: 'honest' },
      noCheck,
    );
    expect((await body).toString()).toBe('{}');
    expect(ended).toBeLessThan(10);
    await Promise.all(bombs);
  });

  test('does not happen if the check fails when it is the turn of the body', async () => {
    const decompressor = new Decompressor();
    const check = () => {
      throw new Error('The client has left.');
    };
    const body = decompressor.decompress(BOMB, { encoding: 'br', maxBytes: MAX_BYTES, owner: 'a' }, check);
    await expect(body).rejects.toThrow('The client has left.');
  });
});
