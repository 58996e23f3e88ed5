import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, type ZlibOptions } from 'node:zlib';
import { AppError, BadRequest, PayloadTooLarge, RateLimited } from '../../core/errors.js';
import { FairSlots, NoFreeSlot } from '../../core/limits/fair-slots.js';
import { TimeShare } from '../../core/limits/time-share.js';

/** Each takes up to its bound for the result, and what brotli looks back at. */
export const MAX_DECOMPRESSIONS = 2;
/** The part of one processor. */
const SHARE = 0.25;
/**
 * What decoding takes at most, by the bytes that it reads and writes: brotli writes a megabyte in 10 ms, and zlib reads one of
 * nothing but code tables in 90. More time passes when threads or the event loop are busy.
 */
const MS_PER_BODY = 1;
const MS_PER_MEGABYTE_READ = 100;
const MS_PER_MEGABYTE_WRITTEN = 15;
const MEGABYTE = 1024 * 1024;
/** How long a body waits for its turn, unless it is urgent. */
const MAX_WAIT_MS = 10_000;
const BURST_MS = 100;
/**
 * The largest window of a brotli body, which is also the default of most encoders. The decoder fills its window before it returns
 * anything: 4 MB, whatever the bound of the body.
 */
const MAX_BROTLI_WINDOW_BITS = 22;
const MAX_BROTLI_WINDOW_BYTES = 2 ** MAX_BROTLI_WINDOW_BITS;
/** Each piece of a result waits for a thread, and zlib's default is 16 kB. */
const PIECE_BYTES = 64 * 1024;

const MALFORMED =
  'The request body cannot be decompressed. Correct it or its content-encoding, and send it again.';
const BUSY = 'Too many compressed request bodies wait. Send this one again, or without compression.';
const LARGE_WINDOW = `The brotli window of the body is larger than ${MAX_BROTLI_WINDOW_BITS} bits. Compress it with a smaller window (\`lgwin\`), or with gzip.`;

type Decompress = (compressed: Buffer, options: ZlibOptions) => Promise<unknown>;

/** By the header `content-encoding`. */
const DECOMPRESS: ReadonlyMap<string, Decompress> = new Map<string, Decompress>([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['br', decompressBrotli],
]);

/** What zlib returns with the option `info`. */
interface DecompressedWithInfo {
  buffer: Buffer;
  /** Its `bytesWritten` are the compressed bytes that were read. */
  engine: { bytesWritten: number };
}

interface CompressedBody {
  /** In lower case. */
  encoding: string;
  maxBytes: number;
  /** Whose body it is: a workspace. Owners take turns. */
  owner: string;
  /** Comes before the others, and waits for its turn without a limit. */
  isUrgent: boolean;
  /** Aborted when the client has left. */
  signal?: AbortSignal;
}

/**
 * Decompresses few bodies at a time, and in a part of a processor only: two hundred bytes can take ten milliseconds, so that a few
 * clients could keep all processors busy.
 */
export class Decompressor {
  private readonly turns = new FairSlots({ capacity: MAX_DECOMPRESSIONS });
  private readonly share = new TimeShare(SHARE, BURST_MS);

  knows(encoding: string): boolean {
    return DECOMPRESS.has(encoding);
  }

  /** Returns the whole body. Throws PayloadTooLarge, BadRequest if it is malformed, RateLimited, and NoFreeSlot for `signal`. */
  async decompress(compressed: Buffer, body: CompressedBody): Promise<Buffer> {
    const { encoding, maxBytes } = body;
    const decompress = DECOMPRESS.get(encoding);
    if (!decompress) throw new BadRequest(MALFORMED);
    const release = await this.waitForTurn(body);
    const start = performance.now();
    let outputBytes = Math.max(maxBytes, MAX_BROTLI_WINDOW_BYTES);
    try {
      const decompressed = await decompressAll(compressed, maxBytes, decompress);
      outputBytes = decompressed.length;
      return decompressed;
    } finally {
      const readMs = (MS_PER_MEGABYTE_READ * compressed.length) / MEGABYTE;
      const writeMs = (MS_PER_MEGABYTE_WRITTEN * outputBytes) / MEGABYTE;
      const mostMs = MS_PER_BODY + readMs + writeMs;
      this.share.spend(start, Math.min(mostMs, performance.now() - start));
      if (this.share.waitMs > 0) setTimeout(release, this.share.waitMs).unref();
      else release();
    }
  }

  private async waitForTurn({ owner, isUrgent, signal }: CompressedBody): Promise<() => void> {
    if (isUrgent) return this.turns.acquire({ owner, isUrgent, signal });
    try {
      return await this.turns.acquire({ owner, signal, maxWaitMs: MAX_WAIT_MS });
    } catch (error) {
      if (error instanceof NoFreeSlot && !signal?.aborted) throw new RateLimited(BUSY, MAX_WAIT_MS);
      throw error;
    }
  }
}

/**
 * Throws if anything follows the compressed bytes, which zlib ignores: some texts begin with what brotli takes for an empty
 * body.
 */
async function decompressAll(compressed: Buffer, maxBytes: number, decompress: Decompress): Promise<Buffer> {
  const options = { maxOutputLength: maxBytes, chunkSize: PIECE_BYTES, info: true };
  const { buffer, engine } = await decompress(compressed, options).then(
    (result) => result as DecompressedWithInfo,
    (error: unknown) => {
      if (error instanceof AppError) throw error;
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
        throw new PayloadTooLarge(maxBytes);
      throw new BadRequest(MALFORMED, { cause: error });
    },
  );
  if (engine.bytesWritten < compressed.length) throw new BadRequest(MALFORMED);
  return buffer;
}

async function decompressBrotli(compressed: Buffer, options: ZlibOptions): Promise<unknown> {
  if (brotliWindowBits(compressed) > MAX_BROTLI_WINDOW_BITS)
    throw new PayloadTooLarge(options.maxOutputLength ?? 0, LARGE_WINDOW);
  return promisify(brotliDecompress)(compressed, options);
}

/** RFC 7932, 9.1. A window below 18 bits counts as 17. */
function brotliWindowBits([first = 0]: Buffer): number {
  return 17 + (first & 1 ? (first >> 1) & 7 : 0);
}
