import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ImageUnavailable, StoreUnavailable } from '../../core/errors.js';
import { type ImageFormat } from '../../core/images/image.js';
import { TIMED_OUT, withTimeout } from '../../core/primitives/async.js';
import { Decoders, type DecodeTurn, NO_WORKSPACE } from './decoders.js';

/** What the child process can do, with the arguments of the function of that name. */
export type LargeImageOperation =
  | { name: 'inspectImage'; args: [path: string, turn?: DecodeTurn] }
  | { name: 'normalizeUpload'; args: [path: string, outputPath: string, turn?: DecodeTurn] }
  | {
      name: 'createVariant';
      args: [path: string, outputPath: string, variant: LargeImageVariant];
    };

interface LargeImageVariant {
  width: number | null;
  format: ImageFormat;
  turn?: DecodeTurn;
}

/** What the child process answers. */
export type LargeImageAnswer =
  { value: unknown } | { failure: { name: string; message: string; retryable: boolean } };

/** An image needs more memory than this process has for decoding, and not more than a process of its own has. */
export class NeedsOwnProcess extends Error {
  override readonly name = 'NeedsOwnProcess';
}

const MAIN = fileURLToPath(new URL('./large-image-main.js', import.meta.url));
/** Decoding, which has a time limit of its own, and starting the process. A process that takes longer waits for the disk. */
const TIMEOUT_MS = 240_000;
/** What programs need to run. A decoder of images from strangers gets no secrets. All but the first two are of Windows. */
const INHERITED_VARIABLES = ['PATH', 'LD_LIBRARY_PATH', 'SystemRoot', 'SystemDrive', 'TEMP', 'TMP'];
/** For glibc (docs/OPERATIONS.md, "Memory grows"). Others ignore them. */
const MEMORY = { MALLOC_ARENA_MAX: '2', MALLOC_MMAP_THRESHOLD_: '1048576' };

/**
 * One child process at a time, so that its memory is the most that large images take. None is kept for paid images, because it
 * would double that, and images of the upstream are not so large. One that is waits for one upload or variant at most.
 */
const processes = new Decoders(2 * TIMEOUT_MS, 1);

/**
 * Decodes with `work`, in this process. An image that needs too much memory for that is decoded by `operation` in a child process,
 * whose memory returns to the system with its end, and whose end by the system does not end the service. Throws like `decode`.
 */
export async function withLargeImages<T>(operation: LargeImageOperation, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof NeedsOwnProcess)) throw error;
  }
  return (await processes.run(turnOf(operation) ?? NO_WORKSPACE, () => runInChild(operation))) as T;
}

function turnOf({ name, args }: LargeImageOperation): DecodeTurn | undefined {
  return name === 'inspectImage' ? args[1] : name === 'normalizeUpload' ? args[2] : args[2].turn;
}

async function runInChild(operation: LargeImageOperation): Promise<unknown> {
  const child = startChild();
  let answer: LargeImageAnswer | null = null;
  child.once('message', (message) => (answer = message as LargeImageAnswer));
  // The answer can arrive after the exit, but not after the disconnection. Both reject if the process cannot be started.
  const ended = Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
  ended.catch(() => undefined);
  child.on('error', () => undefined);
  try {
    // Without file descriptors for a process, there is no channel. A process that has ended already says so itself.
    if (child.connected) child.send(operation, () => undefined);
    if ((await withTimeout(ended.catch(throwNotStarted), TIMEOUT_MS)) === TIMED_OUT)
      throw new StoreUnavailable('the disk did not respond in time');
  } finally {
    child.kill('SIGKILL');
  }
  return valueOf(answer, child.signalCode ?? `status ${child.exitCode}`);
}

/** Throws StoreUnavailable. Most failures are only known later, by the event `error`. */
function startChild(): ChildProcess {
  // eslint-disable-next-line no-restricted-properties -- not configuration: what every process needs
  const inherited = INHERITED_VARIABLES.map((name) => [name, process.env[name]] as const);
  try {
    return fork(MAIN, {
      execArgv: process.execArgv,
      env: { ...Object.fromEntries(inherited), ...MEMORY },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
  } catch (error) {
    throwNotStarted(error);
  }
}

function throwNotStarted(cause: unknown): never {
  throw new StoreUnavailable('the process that decodes large images cannot be started', { cause });
}

function valueOf(answer: LargeImageAnswer | null, end: string): unknown {
  if (answer === null)
    throw new ImageUnavailable(
      'The image cannot be read: decoding it takes more memory than this machine has free. Make it smaller, or try again later.',
      { retryable: true, cause: new Error(`The process that decodes large images ended with ${end}.`) },
    );
  if ('value' in answer) return answer.value;
  const { name, message, retryable } = answer.failure;
  if (name === 'ImageUnavailable') throw new ImageUnavailable(message, { retryable });
  const cause = new Error(message);
  if (name === 'StoreUnavailable')
    throw new StoreUnavailable('the file of a large image could not be read or written', { cause });
  throw new Error('A large image could not be decoded.', { cause });
}
