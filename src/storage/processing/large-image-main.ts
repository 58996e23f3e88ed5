/**
 * The child process of `large-images.ts`: receives one operation, answers, and ends. It also ends when its parent does. It writes
 * nothing but the output file.
 */
import { ImageUnavailable } from '../../core/errors.js';
import { createVariant } from './create-variant.js';
import { decodeLargeImages } from './decode.js';
import { inspectImage } from './inspect-image.js';
import { type LargeImageAnswer, type LargeImageOperation } from './large-images.js';
import { normalizeUpload } from './normalize-upload.js';

decodeLargeImages();
process.on('disconnect', () => process.exit());
// The terminal sends Ctrl-C to children as well. The parent may still wait for the answer.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
process.once('message', (operation: LargeImageOperation) => {
  void answerTo(operation).then((answer) => process.send?.(answer, () => process.disconnect()));
});

async function answerTo(operation: LargeImageOperation): Promise<LargeImageAnswer> {
  try {
    return { value: await run(operation) };
  } catch (error) {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    return {
      failure: { name, message, retryable: error instanceof ImageUnavailable && error.retryable },
    };
  }
}

async function run(operation: LargeImageOperation): Promise<unknown> {
  switch (operation.name) {
    case 'inspectImage':
      return inspectImage(...operation.args);
    case 'normalizeUpload':
      return normalizeUpload(...operation.args);
    case 'createVariant':
      return createVariant(...operation.args);
  }
}
