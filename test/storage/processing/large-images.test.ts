import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import sharp, { type Sharp } from 'sharp';
import { createVariant } from '../../../src/storage/processing/create-variant.js';
import { inspectImage } from '../../../src/storage/processing/inspect-image.js';
import { normalizeUpload } from '../../../src/storage/processing/normalize-upload.js';
import { type DecodedWithoutProcess } from '../../support/images/no-process-main.js';

const MAX_MEGABYTES = 400;
let folder: string;
let files = 0;
const newPath = () => join(folder, String((files += 1)));
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'darkroom-large-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function fileWith(image: Sharp): Promise<string> {
  const path = newPath();
  await image.toFile(path);
  return path;
}

/** Shades, so that decoders have something to do. */
function shades(width: number, height: number, channels: 3 | 4 = 3): Sharp {
  const pixels = Buffer.alloc(width * height * channels);
  for (let y = 0; y < height; y += 1) {
    const row = Buffer.alloc(width * channels, ((y * 7) % 200) + 20);
    row.copy(pixels, y * width * channels);
  }
  return sharp(pixels, { raw: { width, height, channels } });
}
const SIZES = { 12: [4000, 3000], 24: [6000, 4000] } as const;

/** Works, and returns the most memory that a child process of this one had meanwhile. */
async function peakOfChildren(work: Promise<unknown>): Promise<number> {
  let peak = 0;
  let isRunning = true;
  const ended = work.finally(() => (isRunning = false));
  ended.catch(() => undefined);
  while (isRunning) {
    peak = Math.max(peak, ...(await megabytesOfChildren()));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await ended;
  return peak;
}

/** Of Linux only. Processes end while they are read. */
async function megabytesOfChildren(): Promise<number[]> {
  const tasks = await readdir('/proc/self/task').catch(() => []);
  const read = (path: string) => readFile(path, 'utf8').catch(() => '');
  const lists = await Promise.all(tasks.map((task) => read(`/proc/self/task/${task}/children`)));
  const children = lists.join(' ').split(' ').filter(Boolean);
  const statuses = await Promise.all(children.map((pid) => read(`/proc/${pid}/status`)));
  return statuses.map((status) => Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024);
}

describe.each<[string, 12 | 24, string, (image: Sharp) => Sharp, 3 | 4]>([
  ['lossy WebP', 12, 'jpeg', (image) => image.webp({ effort: 2 }), 3],
  ['lossy WebP', 24, 'jpeg', (image) => image.webp({ effort: 2 }), 3],
  ['lossless WebP', 24, 'jpeg', (image) => image.webp({ lossless: true, effort: 0 }), 3],
  ['transparent WebP', 24, 'png', (image) => image.webp({ effort: 0 }), 4],
  ['GIF', 24, 'png', (image) => image.gif({ effort: 1 }), 3],
  ['progressive JPEG', 24, 'jpeg', (image) => image.jpeg({ progressive: true }), 3],
  ['interlaced PNG', 24, 'png', (image) => image.png({ progressive: true, compressionLevel: 1 }), 4],
  ['AVIF', 12, 'png', (image) => image.avif({ effort: 0 }), 3],
])('%s of %i megapixels', (_format, megapixels, storedAs, encode, channels) => {
  const [width, height] = SIZES[megapixels];
  let path: string;
  beforeAll(async () => {
    path = await fileWith(encode(shades(width, height, channels)));
  });

  test(`is accepted as an upload, in less than ${MAX_MEGABYTES} MB`, async () => {
    const stored = newPath();
    const peak = await peakOfChildren(normalizeUpload(path, stored));
    expect(peak).toBeLessThan(MAX_MEGABYTES);
    await expect(inspectImage(stored)).resolves.toMatchObject({
      width,
      height,
      mimeType: `image/${storedAs}`,
    });
  });

  test('is decoded as a result of the upstream, and has variants', async () => {
    await expect(inspectImage(path)).resolves.toMatchObject({ width, height, decodeError: null });
    const [small, full] = [newPath(), newPath()];
    await createVariant(path, small, { width: 1440, format: 'webp' });
    await expect(sharp(small).metadata()).resolves.toMatchObject({ width: 1440 });
    const peak = await peakOfChildren(createVariant(path, full, { width: null, format: 'jpeg' }));
    expect(peak).toBeLessThan(MAX_MEGABYTES);
    await expect(sharp(full).metadata()).resolves.toMatchObject({ width, format: 'jpeg' });
  });
});

test('damage in a large image is the same error as in a small one', async () => {
  const whole = await readFile(await fileWith(shades(6000, 4000).webp({ lossless: true, effort: 0 })));
  const path = newPath();
  await writeFile(path, whole.subarray(0, whole.length / 2));
  const error = { name: 'ImageUnavailable', retryable: false };
  await expect(normalizeUpload(path, newPath())).rejects.toMatchObject(error);
});

test('a disk that does not take the output of a large image is blamed, not the image', async () => {
  const path = await fileWith(shades(6000, 4000).webp({ effort: 0 }));
  const output = join(folder, 'absent', 'x');
  await expect(normalizeUpload(path, output)).rejects.toMatchObject({ name: 'StoreUnavailable' });
});

/** Windows has no such limit. */
const testOnUnix = process.platform === 'win32' ? test.skip : test;
testOnUnix(
  'a child process that cannot be started, such as without file descriptors, ends nothing else',
  async () => {
    const path = await fileWith(shades(64, 64).png());
    const program = [
      '--import',
      './test/support/setup/typescript.mjs',
      'test/support/images/no-process-main.ts',
    ];
    const limited = ['-c', 'ulimit -n 200 && exec "$0" "$@"', process.execPath, ...program, path];
    const { stdout } = await promisify(execFile)('sh', limited, { timeout: 60_000 });
    const decoded = JSON.parse(stdout) as DecodedWithoutProcess;
    expect(decoded).toEqual({
      withoutDescriptors: 'STORE_UNAVAILABLE',
      withoutProgram: 'STORE_UNAVAILABLE',
      afterwards: null,
    });
  },
);

test('an image that takes too much memory even for a process of its own is refused with what to do', async () => {
  const path = await fileWith(
    sharp({ create: { width: 9000, height: 9000, channels: 3, background: '#00f' } }).webp({ effort: 0 }),
  );
  const smaller =
    /9000 x 9000 pixels.* too much memory\. Make it smaller than \d\d megapixels, or save it as a JPEG/;
  await expect(normalizeUpload(path, newPath())).rejects.toThrow(smaller);
  const width = /too much memory\. Request a smaller width/;
  await expect(createVariant(path, newPath(), { width: null, format: 'avif' })).rejects.toThrow(width);
});
