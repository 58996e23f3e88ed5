import { describe, expect, test } from '@jest/globals';
import { SandboxImageStore } from '../../../src/sandbox/state/sandbox-image-store.js';

describe('the images of the sandbox', () => {
  const store = new SandboxImageStore();
  const read = async (id: string) => {
    const image = store.find(id);
    return image ? store.readPng(image) : undefined;
  };
  const addPainting = (seed: number) => {
    const parameters = { caption: 'a cat', seed, model: 'flux-dev', width: 64, height: 64, index: 0 };
    return store.add(parameters, undefined);
  };

  test('are all delivered when more are requested at once than are cached', async () => {
    const ids = Array.from({ length: 100 }, (_, seed) => addPainting(seed));
    const images = await Promise.all(ids.map(read));
    expect(new Set(images.map((image) => image?.toString('base64'))).size).toBe(100);
  });

  test('are painted once for requests at the same time', async () => {
    const ids = [addPainting(1000), addPainting(1000)];
    const [first, second] = await Promise.all(ids.map(read));
    expect(first).toBeInstanceOf(Buffer);
    expect(second).toBe(first);
  });

  test('drop the least recently used edits, by number and by size', async () => {
    const [first = '', second = '', ...others] = Array.from({ length: 200 }, () =>
      store.addEdit(Buffer.alloc(1), undefined),
    );
    await read(first);
    const latest = store.addEdit(Buffer.alloc(1), undefined);
    expect([await read(first), await read(second), await read(latest)]).toEqual([
      Buffer.alloc(1),
      null,
      Buffer.alloc(1),
    ]);
    store.addEdit(Buffer.alloc(256 * 1024 * 1024 - 1), undefined);
    expect(await read(latest)).toEqual(Buffer.alloc(1));
    expect(await Promise.all([first, ...others].map(read))).toEqual(Array(199).fill(null));
  });
});
