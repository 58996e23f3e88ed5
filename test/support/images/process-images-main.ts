/**
 * Takes each image of a folder in as an upload and as a result of the upstream, one after another, and prints what became of
 * them and the most memory that this process has used.
 */
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inspectImage } from '../../../src/storage/processing/inspect-image.js';
import { createVariant } from '../../../src/storage/processing/create-variant.js';
import { normalizeUpload } from '../../../src/storage/processing/normalize-upload.js';

/** What the program prints. */
export interface ProcessedImages {
  /** By file name. `upload` and `facts` are null if they succeeded, or the error's name. */
  images: Record<string, { upload: string | null; facts: string | null; variant: string | null }>;
  maxMegabytes: number;
}

const [folder = ''] = process.argv.slice(2);
const failureOf = async (work: Promise<unknown>): Promise<string | null> =>
  work.then(
    () => null,
    (error: Error) => error.name,
  );
const images: ProcessedImages['images'] = {};
const output = join(folder, '..', 'output');
for (const name of await readdir(folder)) {
  const path = join(folder, name);
  images[name] = {
    upload: await failureOf(normalizeUpload(path, output).then(() => inspectImage(output))),
    facts: await failureOf(inspectImage(path)),
    variant: await failureOf(createVariant(path, output, { width: 64, format: 'webp' })),
  };
}
await rm(output, { force: true });
// Both are in kilobytes. maxRSS includes what the parent had when it started this process, so only systems without /proc use it.
// eslint-disable-next-line portable/syntax -- others have no such file, which is caught
const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
const maxKilobytes = /VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
const maxMegabytes = Math.round(Number(maxKilobytes) / 1024);
console.log(JSON.stringify({ images, maxMegabytes } satisfies ProcessedImages));
