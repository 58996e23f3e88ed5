import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, type ZlibOptions } from 'node:zlib';
import { type WorkOwner } from '../../core/limits/work-owner.js';
import { BadRequest, PayloadTooLarge, RateLimited } from '../../core/errors.js';
import { CallerSlots } from '../../core/limits/caller-slots.js';
import { FairSlots, NoFreeSlot } from '../../core/limits/fair-slots.js';
import { TimeShare } from '../../core/limits/time-share.js';

/**
 * What the bodies that are decompressed at the same time may write together, at most. Two small brotli bodies, or dozens in gzip:
 * each takes a turn of the event loop, which can last for tens of milliseconds.
 */
export const MAX_DECOMPRESSED_BYTES = 9 * 1024 * 1024;
/** What reading a byte takes, compared with writing one. */
const WEIGHT_OF_READING = 7;
/** The part of one processor. */
const SHARE = 0.25;
/**
 * What decoding takes at most, by the bytes that it reads and writes: a body of a hundred bytes takes 0.10 to 0.12 ms in each
 * encoding, brotli writes a megabyte in 10 ms, and zlib reads one of nothing but code tables in 90. More time passes when threads
 * or the event loop are busy.
 */
const MS_PER_BODY = 0.15;
const MS_PER_MEGABYTE_READ = 100;
const MS_PER_MEGABYTE_WRITTEN = 15;
const MEGABYTE = 1024 * 1024;
/** Takes turns with workspaces, whose names are IDs. */
const UPSTREAM = '';
/** How long a body waits for its turn, unless it is urgent. */
const MAX_WAIT_MS = 10_000;
const BURST_MS = 100;
/**
 * The largest window of a brotli body, which is also the default of most encoders. The decoder fills its window before it returns
 * anything: 4 MB, whatever the bound of the body.
 */
const MAX_BROTLI_WINDOW_BITS = 22;
/** What zlib writes at most for each byte that it reads. */
const MAX_DEFLATE_RATIO = 1032;
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
  ['br', promisify(brotliDecompress)],
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
  /** Whose body it is. Null for the upstream, whose bodies come first and wait for their turn without a limit. */
  owner: WorkOwner | null;
  /** Aborted when the client has left. */
  signal?: AbortSignal;
}

/**
 * Decompresses few bodies at a time, unless they are small, and in a part of a processor only: two hundred bytes can take ten
 * milliseconds, so that a few clients could keep all processors busy.
 */
export class Decompressor {
  private readonly turns = new FairSlots({ capacity: MAX_DECOMPRESSED_BYTES });
  private readonly callersTurns = new CallerSlots(this.turns, { maxPerWorkspace: MAX_DECOMPRESSED_BYTES });
  private readonly share = new TimeShare(SHARE, BURST_MS);

  knows(encoding: string): boolean {
    return DECOMPRESS.has(encoding);
  }

  /** Returns the whole body. Throws PayloadTooLarge, BadRequest if it is malformed, RateLimited, and NoFreeSlot for `signal`. */
  async decompress(compressed: Buffer, body: CompressedBody): Promise<Buffer> {
    const { encoding, maxBytes } = body;
    const decompress = DECOMPRESS.get(encoding);
    if (!decompress) throw new BadRequest(MALFORMED);
    if (encoding === 'br' && brotliWindowBits(compressed) > MAX_BROTLI_WINDOW_BITS)
      throw new PayloadTooLarge(maxBytes, LARGE_WINDOW);
    const mostWritten = mostWrittenBytes(compressed, body);
    const release = await this.waitForTurn(body, mostWritten + WEIGHT_OF_READING * compressed.length);
    let mostMs = msFor(compressed.length, mostWritten);
    const start = performance.now();
    try {
      const decompressed = await decompressAll(compressed, maxBytes, decompress);
      mostMs = msFor(compressed.length, decompressed.length);
      return decompressed;
    } finally {
      this.share.spend(start, Math.min(mostMs, performance.now() - start));
      if (this.share.waitMs > 0) setTimeout(release, this.share.waitMs).unref();
      else release();
    }
  }

  private async waitForTurn({ owner, signal }: CompressedBody, weight: number): Promise<() => void> {
    if (!owner) return this.turns.acquire({ owner: UPSTREAM, weight, isUrgent: true, signal });
    try {
      return await this.callersTurns.acquire(owner, { weight, signal, maxWaitMs: MAX_WAIT_MS });
    } catch (error) {
      if (error instanceof NoFreeSlot && !signal?.aborted) throw new RateLimited(BUSY, MAX_WAIT_MS);
      throw error;
    }
  }
}

/** What decoding takes at most. */
function msFor(readBytes: number, writtenBytes: number): number {
  return MS_PER_BODY + (MS_PER_MEGABYTE_READ * readBytes + MS_PER_MEGABYTE_WRITTEN * writtenBytes) / MEGABYTE;
}

/** What decoding can write before it returns, or is refused. */
function mostWrittenBytes(compressed: Buffer, { encoding, maxBytes }: CompressedBody): number {
  if (encoding === 'br') return Math.max(maxBytes, 2 ** brotliWindowBits(compressed));
  return Math.min(maxBytes, MAX_DEFLATE_RATIO * compressed.length);
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
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
        throw new PayloadTooLarge(maxBytes);
      throw new BadRequest(MALFORMED, { cause: error });
    },
  );
  if (engine.bytesWritten < compressed.length) throw new BadRequest(MALFORMED);
  return buffer;
}

/** RFC 7932, 9.1. A window below 18 bits counts as 17. */
function brotliWindowBits([first = 0]: Buffer): number {
  return 17 + (first & 1 ? (first >> 1) & 7 : 0);
}
