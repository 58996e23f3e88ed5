import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { findChromium, HOW_TO_INSTALL, showInChromium, type Shown } from '../support/images/chromium.js';
import { type ImageCase, makeImageCases } from '../support/images/image-cases.js';
import { type ProcessedImages } from '../support/images/process-images-main.js';

const MAX_MEGABYTES = 400;
const chromium = findChromium();
// A check that CI silently skips is none. A developer without Chromium sees in the test's name how to get it.
if (!chromium && process.env.CI) throw new Error(HOW_TO_INSTALL);
const describeWithChromium = chromium ? describe : describe.skip;

describeWithChromium(
  `an upload is accepted where Chromium shows the whole image${chromium ? '' : `. ${HOW_TO_INSTALL}`}`,
  () => {
    let folder: string;
    let cases: Map<string, ImageCase>;
    let shown: Map<string, Shown>;
    let processed: ProcessedImages;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'darkroom-chromium-cases-'));
      const input = join(folder, 'input');
      await mkdir(input);
      cases = await makeImageCases();
      for (const [name, { bytes }] of cases) await writeFile(join(input, fileNameOf(name)), bytes);
      const main = 'test/support/images/process-images-main.ts';
      const args = ['--import', './test/support/setup/typescript.mjs', main, input];
      // As `npm start` and the container image set them.
      const env = {
        ...process.env,
        NODE_OPTIONS: '',
        MALLOC_ARENA_MAX: '2',
        MALLOC_MMAP_THRESHOLD_: '1048576',
      };
      const { stdout } = await promisify(execFile)(process.execPath, args, { env, maxBuffer: 10_000_000 });
      processed = JSON.parse(stdout) as ProcessedImages;
      const files = [...cases].map(
        ([name, { format, bytes }]) => [name, { bytes, type: `image/${format}` }] as const,
      );
      shown = await showInChromium(chromium ?? '', new Map(files));
      console.log(tableOf(cases, shown, processed));
    }, 600_000);
    afterAll(() => rm(folder, { recursive: true, force: true }));

    test('for about two hundred images', () => {
      expect(cases.size).toBeGreaterThanOrEqual(200);
      const wrong = [...cases].flatMap(([name, imageCase]) => {
        const accepted = processed.images[fileNameOf(name)]?.upload === null;
        const expected = isExpected(imageCase, shown.get(name));
        return accepted === expected ? [] : [{ name, accepted, shown: shown.get(name) }];
      });
      expect(wrong).toEqual([]);
    });

    test('and a refusal blames the image, never the disk', () => {
      const errors = Object.values(processed.images).map(({ upload }) => upload);
      expect(new Set(errors)).toEqual(new Set([null, 'ImageUnavailable']));
    });

    test('and of a result of the upstream, all is decoded that was accepted as an upload', () => {
      const wrong = Object.entries(processed.images).filter(
        ([, { upload, facts, variant }]) => upload === null && (facts ?? variant) !== null,
      );
      expect(wrong).toEqual([]);
    });

    test(`and memory stays below ${MAX_MEGABYTES} MB`, () => {
      expect(processed.maxMegabytes).toBeLessThan(MAX_MEGABYTES);
    });
  },
);

/** Names have characters that not every file system takes. */
function fileNameOf(name: string): string {
  return name.replace(/[^\w.-]+/g, '-');
}

/**
 * Whether an upload should be accepted. A JPEG that ends early is accepted from half on, because every viewer shows it. A PNG
 * has checksums, so a wrong one is damage even where Chromium paints all rows.
 */
function isExpected({ format, exception }: ImageCase, shown: Shown | undefined): boolean {
  if (exception) return exception.accepted;
  if (!shown?.loads) return false;
  if (shown.strict) return true;
  if (format === 'jpeg') return shown.rows >= shown.height / 2;
  return format === 'gif' && shown.rows === shown.height;
}

function tableOf(
  cases: ReadonlyMap<string, ImageCase>,
  shown: ReadonlyMap<string, Shown>,
  { images, maxMegabytes }: ProcessedImages,
): string {
  const lines = [...cases].map(([name, { bytes, exception }]) => {
    const { loads = false, rows = 0, height = 0, strict = false } = shown.get(name) ?? {};
    const chromiumShows = !loads ? 'nothing' : `${rows}/${height} rows${strict ? '' : ', damaged'}`;
    const { upload = '', facts = '' } = images[fileNameOf(name)] ?? {};
    const columns = [
      name.padEnd(46),
      String(bytes.length).padStart(7),
      chromiumShows.padEnd(24),
      (upload === null ? 'accepted' : 'refused').padEnd(9),
      (facts === null ? 'decoded' : 'kept as a download').padEnd(19),
      exception?.reason ?? '',
    ];
    return columns.join(' ').trimEnd();
  });
  const header = `${'image'.padEnd(46)}   bytes ${'Chromium shows'.padEnd(24)} upload    result`;
  return [header, ...lines, `${cases.size} images, at most ${maxMegabytes} MB of memory`].join('\n');
}
