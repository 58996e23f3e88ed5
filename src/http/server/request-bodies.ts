import { type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate, type ZlibOptions } from 'node:zlib';
import { Semaphore } from 'async-mutex';
import express, { type Request, type RequestHandler } from 'express';
import { AppError, BadRequest, PayloadTooLarge } from '../../core/errors.js';
import { readCallerJson } from '../../core/primitives/encoding/caller-json.js';

/** Bounds of one body, after decompression. A document and its variables, the same as over WebSocket. */
export const MAX_STREAM_OPERATION_BYTES = 64 * 1024;
/** A batch of operations at /graphql, and the bodies of the Flux API. */
export const MAX_JSON_BYTES = 1024 * 1024;
/** Far above the size of a result, which holds links and a prompt. */
export const MAX_CALLBACK_BYTES = 10 * 1024 * 1024;
/** RFC 8259 has UTF-8 only. ASCII is a part of it. */
const JSON_CHARSETS: readonly string[] = ['utf-8', 'utf8', 'us-ascii', 'ascii'];
/** Bound for the bodies of all requests together that have not ended. They usually end within milliseconds. */
export const MAX_UNFINISHED_BYTES = 12 * 1024 * 1024;
/** What a piece of a body takes besides its bytes. A client can send a piece for each byte. */
const PIECE_BYTES = 512;
/** Each takes up to MAX_CALLBACK_BYTES for its result, and what brotli looks back at. */
export const MAX_DECOMPRESSIONS = 2;
/**
 * The largest window of a brotli body, which is also the default of most encoders. The decoder fills its window before it returns
 * anything: 4 MB, whatever the bound of the body.
 */
const MAX_BROTLI_WINDOW_BITS = 22;
/** Each piece of a result waits for a thread, and zlib's default is 16 kB. */
const DECOMPRESSED_PIECE_BYTES = 64 * 1024;

const MALFORMED =
  'The request body cannot be decompressed. Correct it or its content-encoding, and send it again.';
const LARGE_WINDOW = `The brotli window of the body is larger than ${MAX_BROTLI_WINDOW_BITS} bits. Compress it with a smaller window (\`lgwin\`), or with gzip.`;

type Decompress = (compressed: Buffer, options: ZlibOptions) => Promise<unknown>;

/** By the header `content-encoding`. The parser refuses all others. */
const DECOMPRESS: ReadonlyMap<string, Decompress> = new Map<string, Decompress>([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['br', decompressBrotli],
]);

/**
 * Parses the bodies of requests that were authenticated before, and bounds what they take in memory. If clients begin more
 * than MAX_UNFINISHED_BYTES without ending it, the request that began first is cut, so that a slow or hostile client delays
 * no other. A compressed body is decompressed when it has ended, few at a time, because a decompressor that waits for its client
 * keeps some megabytes.
 */
export class RequestBodies {
  /** Bytes by request, the oldest first. */
  private readonly unfinished = new Map<IncomingMessage, number>();
  private readonly decompressions = new Semaphore(MAX_DECOMPRESSIONS);
  private totalBytes = 0;

  constructor(private readonly maxUnfinishedBytes = MAX_UNFINISHED_BYTES) {}

  /** What all requests take whose bodies have not ended, or are not decompressed. Only tests read it. */
  get unfinishedBytes(): number {
    return this.totalBytes;
  }

  /** How many requests those are, also without a byte yet. Only tests read it. */
  get unfinishedRequests(): number {
    return this.unfinished.size;
  }

  /** Middleware for JSON: see `readCallerJson`. `strict: false` also accepts values that are not objects or lists. */
  json(maxBytes: number, { strict = true } = {}): RequestHandler {
    const parse = express.raw({ type: 'application/json', limit: maxBytes, inflate: false });
    return this.bounded(maxBytes, (request, response, next) =>
      parse(request, response, (error?: unknown) => {
        // No Buffer for another content type, and without a body.
        if (error !== undefined || !Buffer.isBuffer(request.body)) return next(error);
        try {
          request.body = readJson(request.body, request.headers['content-type'], { strict });
        } catch (refusal) {
          return next(refusal);
        }
        next();
      }),
    );
  }

  /**
   * Middleware for a body of any type, as a Buffer. A body that is not compressed as its header says, or in an unknown way, is
   * kept as it was sent: a callback arrives once.
   */
  raw(maxBytes: number): RequestHandler {
    const parse = express.raw({ type: () => true, limit: maxBytes, inflate: false });
    return this.bounded(maxBytes, parse, { isKept: true });
  }

  /** `isKept`: a body that cannot be decompressed is kept as it was sent. */
  private bounded(maxBytes: number, parse: RequestHandler, { isKept = false } = {}): RequestHandler {
    return (request, response, next) => {
      let isDone = false;
      const finish = (error?: unknown) => {
        if (isDone) return;
        isDone = true;
        // The rest of a body that was refused is discarded.
        this.forget(request);
        next(error);
      };
      // The parser would report it as well, but only when the rest of the body has arrived.
      const refuse = (reason: AppError = new PayloadTooLarge(maxBytes)) => finish(reason);
      // Its client has left while it was authenticated, perhaps after the whole body. No event will follow.
      if (request.destroyed && !request.readableEnded) return finish(new ConnectionClosed());
      if (Number(request.headers['content-length'] ?? 0) > maxBytes) return refuse();
      const decompress = DECOMPRESS.get(request.headers['content-encoding']?.trim().toLowerCase() ?? '');
      if (!decompress) {
        // The parser refuses a body with an encoding.
        if (isKept) delete request.headers['content-encoding'];
        this.track(request, maxBytes, refuse);
        request.once('end', () => this.forget(request)).once('close', () => this.forget(request));
        return parse(request, response, finish);
      }
      return this.readCompressed(request, { maxBytes, decompress, isKept }).then((body) => {
        const decompressed = withBody(request, body);
        return parse(decompressed, response, (error) => {
          request.body = decompressed.body as unknown;
          finish(error);
        });
      }, finish);
    };
  }

  /** Throws PayloadTooLarge, ConnectionClosed, and BadRequest if the body is malformed. */
  private async readCompressed(
    request: IncomingMessage,
    { maxBytes, decompress, isKept }: { maxBytes: number; decompress: Decompress; isKept: boolean },
  ): Promise<Buffer> {
    let compressed: Buffer | undefined;
    try {
      compressed = await new Promise<Buffer>((resolve, reject) => {
        const pieces: Buffer[] = [];
        const keep = (piece: Buffer) => void pieces.push(piece);
        request.on('data', keep);
        this.track(request, maxBytes, (reason = new PayloadTooLarge(maxBytes)) => {
          request.off('data', keep);
          reject(reason);
        });
        request.once('end', () => resolve(Buffer.concat(pieces)));
        request.once('close', () => reject(new ConnectionClosed()));
      });
      if (compressed.length === 0) return compressed;
      const body = compressed;
      return await this.decompressions.runExclusive(() => decompressAll(body, maxBytes, decompress));
    } catch (error) {
      if (compressed && isKept) return compressed;
      if (error instanceof AppError || error instanceof ConnectionClosed) throw error;
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
        throw new PayloadTooLarge(maxBytes);
      throw new BadRequest(MALFORMED, { cause: error });
    } finally {
      this.forget(request);
    }
  }

  /** Counts what a request takes from now on, until it is forgotten. */
  private track(request: IncomingMessage, maxBytes: number, refuse: (reason?: AppError) => void): void {
    this.unfinished.set(request, 0);
    let received = 0;
    request.on('data', (piece: Buffer) => {
      received += piece.length;
      if (received <= maxBytes) return this.add(request, piece.length + PIECE_BYTES);
      // What it had was dropped.
      this.forget(request);
      refuse();
    });
  }

  private add(request: IncomingMessage, bytes: number): void {
    const before = this.unfinished.get(request);
    if (before === undefined) return;
    this.unfinished.set(request, before + bytes);
    this.totalBytes += bytes;
    for (const [oldest] of this.unfinished) {
      if (this.totalBytes <= this.maxUnfinishedBytes) return;
      this.forget(oldest);
      oldest.socket.destroy();
    }
  }

  private forget(request: IncomingMessage): void {
    this.totalBytes -= this.unfinished.get(request) ?? 0;
    this.unfinished.delete(request);
  }
}

/**
 * Throws if anything follows the compressed bytes, which zlib ignores: some texts begin with what brotli takes for an empty
 * body.
 */
async function decompressAll(compressed: Buffer, maxBytes: number, decompress: Decompress): Promise<Buffer> {
  const options = { maxOutputLength: maxBytes, chunkSize: DECOMPRESSED_PIECE_BYTES, info: true };
  const { buffer, engine } = (await decompress(compressed, options)) as DecompressedWithInfo;
  if (engine.bytesWritten < compressed.length) throw new BadRequest(MALFORMED);
  return buffer;
}

/** What zlib returns with the option `info`. */
interface DecompressedWithInfo {
  buffer: Buffer;
  /** Its `bytesWritten` are the compressed bytes that were read. */
  engine: { bytesWritten: number };
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

/** The same as the parser reports for other bodies: see core/public-error.ts. */
class ConnectionClosed extends Error {
  readonly type = 'request.aborted';
}

/**
 * Returns the parsed body, and releases it: a request can last for minutes, and its body can have ten times its size when it is
 * parsed.
 */
export function takeBody(request: Request): unknown {
  const body = request.body as unknown;
  request.body = undefined;
  return body;
}

/** The request with its body decompressed, for the parser. */
function withBody({ headers }: IncomingMessage, body: Buffer): Request {
  const request = {
    headers: {
      ...headers,
      'content-encoding': 'identity',
      'transfer-encoding': undefined,
      'content-length': String(body.length),
    },
  };
  return Object.assign(Readable.from([body]), request) as unknown as Request;
}

function readJson(bytes: Buffer, contentType = '', { strict }: { strict: boolean }): unknown {
  const [, charset] = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(contentType) ?? [];
  if (charset && !JSON_CHARSETS.includes(charset.toLowerCase()))
    throw new BadRequest('The charset of the request body is not supported. Use UTF-8.');
  // Some clients announce JSON and send nothing.
  if (bytes.length === 0) return {};
  const value = readCallerJson(bytes);
  if (strict && (typeof value !== 'object' || value === null))
    throw new BadRequest('The request body is not a JSON object or list. Correct it and send it again.');
  return value;
}
