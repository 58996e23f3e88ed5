/**
 * Decodes the file of its argument as a large image: while this process has no file descriptor left for another one, while there is
 * no program for it, and then again. Prints what became of each.
 */
import { closeSync, openSync } from 'node:fs';
import { setImmediate as nextLoopTurn } from 'node:timers/promises';
import { AppError } from '../../../src/core/errors.js';
import { NeedsOwnProcess, withLargeImages } from '../../../src/storage/processing/large-images.js';

/** What the program prints: codes of errors, or null where there was none. */
export interface DecodedWithoutProcess {
  withoutDescriptors: string | null;
  withoutProgram: string | null;
  afterwards: string | null;
}

const [path = ''] = process.argv.slice(2);
const decode = async (): Promise<string | null> => {
  const outcome = await withLargeImages({ name: 'inspectImage', args: [path] }, () =>
    Promise.reject(new NeedsOwnProcess()),
  ).then(
    () => null,
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  );
  // What nobody handles ends the process now.
  await nextLoopTurn();
  return outcome;
};

const descriptors: number[] = [];
try {
  for (;;) descriptors.push(openSync(path, 'r'));
} catch {
  // There is none left.
}
const withoutDescriptors = await decode();
for (const descriptor of descriptors) closeSync(descriptor);
const { execPath } = process;
process.execPath = `${execPath}-absent`;
const withoutProgram = await decode();
process.execPath = execPath;
const afterwards = await decode();
console.log(
  JSON.stringify({ withoutDescriptors, withoutProgram, afterwards } satisfies DecodedWithoutProcess),
);
