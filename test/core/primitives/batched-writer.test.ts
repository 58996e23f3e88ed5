import { describe, expect, test } from '@jest/globals';
import { BatchedWriter } from '../../../src/core/primitives/batched-writer.js';
import { waitFor } from '../../support/wait-for.js';

/** A writer that keeps its batches, and rejects while `isBroken`. */
function createWriter(options: { delayMs?: number; maxItems?: number } = {}) {
  const written: string[][] = [];
  const failed: string[][] = [];
  const state = { isBroken: false };
  const writer = new BatchedWriter<string>({
    delayMs: 60_000,
    maxItems: 100,
    ...options,
    write: async (items) => {
      await new Promise(setImmediate);
      if (state.isBroken) throw new Error('broken');
      written.push(items);
    },
    onError: (_error, items) => failed.push([...items]),
  });
  return { writer, written, failed, state };
}

describe('a batched writer', () => {
  test('writes what was added within the delay in one batch, and the last item of each key', async () => {
    const { writer, written } = createWriter({ delayMs: 5 });
    writer.add('a', 'first');
    writer.add('b', 'other');
    writer.add('a', 'second');
    expect([writer.size, writer.get('a')]).toEqual([2, 'second']);
    await waitFor('the batch', () => written.length > 0);
    expect(written).toEqual([['second', 'other']]);
    expect(writer.size).toBe(0);
  });

  test('writes a full batch at once, so that it never holds more', async () => {
    const { writer, written } = createWriter({ maxItems: 2 });
    for (const key of ['a', 'b', 'c', 'd', 'e']) writer.add(key, key);
    expect(writer.size).toBe(1);
    await writer.flush();
    expect(written).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
  });

  test('has written everything when `flush` resolves, and writes no empty batch', async () => {
    const { writer, written } = createWriter();
    await writer.flush();
    expect(written).toEqual([]);
    writer.add('a', 'a');
    void writer.flush();
    await writer.flush();
    expect(written).toEqual([['a']]);
  });

  test('reports a batch that it could not write, and goes on with the next', async () => {
    const { writer, written, failed, state } = createWriter();
    state.isBroken = true;
    writer.add('a', 'a');
    await writer.flush();
    state.isBroken = false;
    writer.add('b', 'b');
    await writer.flush();
    expect([failed, written]).toEqual([[['a']], [['b']]]);
  });
});
