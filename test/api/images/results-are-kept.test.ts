import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pathAndQuery, TestApp } from '../../support/app/test-app.js';
import { type ImageCase, makeImageCases } from '../../support/images/image-cases.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

/** `MAX_IMAGES_PER_TASK`. */
const IMAGES_PER_TASK = 16;
/** Those that cannot be decoded are downloaded twice. */
const TIMEOUT_MS = 300_000;

/** What became of an image that an upstream delivered. */
interface Kept {
  imageCase: ImageCase;
  decodeError: string | null;
  isSame: boolean;
  contentType: string;
  disposition: string;
}

let upstream: FakeUpstream;
let app: TestApp;
const kept = new Map<string, Kept>();
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  app = await TestApp.start({ environment: { ...upstream.environment, LIMITS_PER_KEY: 'none' } });
  const cases = [...(await makeImageCases())];
  for (let at = 0; at < cases.length; at += IMAGES_PER_TASK)
    await deliver(`batch-${at}`, cases.slice(at, at + IMAGES_PER_TASK));
  console.log(tableOf(kept));
}, TIMEOUT_MS);
afterAll(async () => {
  await app.stop();
  await upstream.close();
});

async function deliver(batch: string, cases: [string, ImageCase][]): Promise<void> {
  for (const [index, [, { bytes }]] of cases.entries()) upstream.images.set(`${batch}-${index}`, bytes);
  const { id } = await app.generate({ prompt: batch });
  await app.postBody(await upstream.callbackPath(batch), upstream.successCallback(cases.length, batch));
  await waitFor(
    `the images of ${batch}`,
    async () => {
      const pending = 'task_id = $1 AND stored_at IS NULL AND lost_at IS NULL';
      return (await app.rows(`SELECT 1 FROM images WHERE ${pending}`, [id])).length === 0;
    },
    { timeoutMs: TIMEOUT_MS },
  );
  const { images } = await app.waitUntilSettled(id);
  expect(images).toHaveLength(cases.length);
  const errors = await app.rows<{ id: string; decode_error: string | null }>(
    'SELECT id, decode_error FROM images WHERE task_id = $1',
    [id],
  );
  for (const image of images) {
    const [name, imageCase] = cases[image.index] ?? [];
    if (name === undefined || !imageCase) throw new Error(`There is no case ${image.index}.`);
    const { status, headers, bytes } = await app.get(pathAndQuery(image.url));
    kept.set(name, {
      imageCase,
      decodeError: errors.find((row) => row.id === image.id)?.decode_error ?? null,
      isSame: status === 200 && bytes.equals(imageCase.bytes),
      contentType: headers['content-type'] ?? '',
      disposition: (headers['content-disposition'] ?? '').split(';')[0] ?? '',
    });
  }
}

function tableOf(images: ReadonlyMap<string, Kept>): string {
  const lines = [...images].map(([name, { imageCase, isSame, contentType, disposition, decodeError }]) => {
    const columns = [
      name.padEnd(46),
      String(imageCase.bytes.length).padStart(8),
      (isSame ? 'byte for byte' : 'CHANGED').padEnd(13),
      contentType.padEnd(24),
      disposition.padEnd(10),
      decodeError ?? '',
    ];
    return columns.join(' ').trimEnd();
  });
  return [`results of the upstream, and how they are kept and served`, ...lines].join('\n');
}

const those = (condition: (image: Kept) => boolean) =>
  [...kept].filter(([, image]) => condition(image)).map(([name]) => name);

test('about two hundred images from the upstream are kept byte for byte, whatever they are', () => {
  expect(kept.size).toBeGreaterThanOrEqual(200);
  expect(those(({ isSame }) => !isSame)).toEqual([]);
});

test('those that can be decoded are served inline, with the type that they have', () => {
  const isInline = ({ disposition, contentType, imageCase: { format } }: Kept) =>
    disposition === 'inline' && contentType === `image/${format}`;
  expect(those((image) => image.decodeError === null && !isInline(image))).toEqual([]);
});

test('those that cannot be decoded are marked, and only served as a download', () => {
  const isDownload = ({ disposition, contentType }: Kept) =>
    disposition === 'attachment' && contentType === 'application/octet-stream';
  const undecodable = those(({ decodeError }) => decodeError !== null);
  expect(undecodable).toEqual(those(isDownload));
  // All others are whole, or something of them can be seen.
  expect(undecodable.length).toBeGreaterThan(10);
  const isDamaged = (name: string) => /cut|without|changed|zeros|before it|between|necessary/.test(name);
  expect(undecodable.filter((name) => !isDamaged(name))).toEqual([]);
});

test('why not is said without a path of the server, also of another image that is decoded at the same time', () => {
  expect(those(({ decodeError }) => /[\\/]\w/.test(decodeError ?? ''))).toEqual([]);
});
