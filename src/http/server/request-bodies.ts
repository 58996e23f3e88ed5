import { type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import express, { type Request, type RequestHandler } from 'express';
import { type Caller } from '../../core/access/caller.js';
import { LoopShare } from '../../core/limits/loop-share.js';
import { WaitingRequests } from '../../core/limits/waiting-requests.js';
import { type WorkOwner } from '../../core/limits/work-owner.js';
import { type AppError, BadRequest, PayloadTooLarge } from '../../core/errors.js';
import { readCallerJson } from '../../core/primitives/encoding/caller-json.js';
import { Decompressor } from '../limits/decompressor.js';
import { UnfinishedBodies } from '../limits/unfinished-bodies.js';

/** Bounds of one body, after decompression. A document and its variables, the same as over WebSocket. */
export const MAX_STREAM_OPERATION_BYTES = 64 * 1024;
/** A batch of operations at /graphql, and the bodies of the Flux API. */
export const MAX_JSON_BYTES = 1024 * 1024;
/** Far above the size of a result, which holds links and a prompt. */
export const MAX_CALLBACK_BYTES = 10 * 1024 * 1024;
/** RFC 8259 has UTF-8 only. ASCII is a part of it. */
const JSON_CHARSETS: readonly string[] = ['utf-8', 'utf8', 'us-ascii', 'ascii'];
/** Bound for the bodies that have not ended, of all callers together, and of the upstream. They usually end within milliseconds. */
export const MAX_UNFINISHED_BYTES = 12 * 1024 * 1024;
/** Smaller JSON is parsed in less than two milliseconds, and does not wait. */
const SMALL_JSON_BYTES = 16 * 1024;
/** Larger JSON may take this part of the event loop, for each workspace. A megabyte takes up to 20 ms. */
const PARSING_SHARE = 0.05;
const PARSING_BURST_MS = 250;
/** The same for all workspaces. */
const PARSING_SHARE_IN_ALL = 0.1;
const PARSING_BURST_IN_ALL_MS = 500;
/** Bodies of a workspace that wait for its share. */
export const MAX_WAITING_PARSES = 4;
/** What the bodies of a workspace take that wait to be parsed, or of one end user. */
export const MAX_UNPARSED_BYTES_PER_WORKSPACE = 4 * 1024 * 1024;
/** The same for all workspaces. */
export const MAX_UNPARSED_BYTES = 8 * 1024 * 1024;
const PARSING_BUSY = 'Too many large request bodies wait. Send this one again later, or a smaller one.';
/** What a piece of a body takes besides its bytes. A client can send a piece for each byte. */
const PIECE_BYTES = 512;

/**
 * Parses the bodies of requests that were authenticated before, and bounds what they take in memory. If clients begin more
 * than MAX_UNFINISHED_BYTES without ending it, requests of the one that has begun the most are cut, so that a slow or hostile
 * client delays no other. A compressed body is decompressed when it has ended, because a decompressor that waits for its client
 * keeps some megabytes.
 */
export class RequestBodies {
  private readonly unfinished: UnfinishedBodies;
  private readonly decompressor = new Decompressor();
  private readonly parsing = new LoopShare({
    share: PARSING_SHARE,
    burstMs: PARSING_BURST_MS,
    shareInAll: PARSING_SHARE_IN_ALL,
    burstInAllMs: PARSING_BURST_IN_ALL_MS,
    busyMessage: PARSING_BUSY,
    maxWaitingPerWorkspace: MAX_WAITING_PARSES,
  });
  private readonly unparsed = new WaitingRequests({
    endUser: MAX_UNPARSED_BYTES_PER_WORKSPACE,
    workspace: MAX_UNPARSED_BYTES_PER_WORKSPACE,
    all: MAX_UNPARSED_BYTES,
  });

  constructor(maxUnfinishedBytes = MAX_UNFINISHED_BYTES) {
    this.unfinished = new UnfinishedBodies(maxUnfinishedBytes);
  }

  /** What all requests take whose bodies have not ended, or are not decompressed. Only tests read it. */
  get unfinishedBytes(): number {
    return this.unfinished.bytes;
  }

  /** How many requests those are, also without a byte yet. Only tests read it. */
  get unfinishedRequests(): number {
    return this.unfinished.count;
  }

  /** Middleware for JSON: see `readCallerJson`. `strict: false` also accepts values that are not objects or lists. */
  json(maxBytes: number, { strict = true } = {}): RequestHandler {
    const parse = express.raw({ type: 'application/json', limit: maxBytes, inflate: false });
    return this.bounded(maxBytes, (request, response, next) =>
      parse(request, response, (error?: unknown) => {
        // No Buffer for another content type, and without a body.
        if (error !== undefined || !Buffer.isBuffer(request.body)) return next(error);
        const bytes = takeBody(request) as Buffer;
        const read = () => readJson(bytes, request.headers['content-type'], { strict });
        this.parseInTurn(ownerOf(response), bytes.length, read).then((value) => {
          request.body = value;
          next();
        }, next);
      }),
    );
  }

  /** Rejects with what `parse` throws, and with RateLimited. */
  private parseInTurn(owner: WorkOwner | null, size: number, parse: () => unknown): Promise<unknown> {
    if (owner && size > SMALL_JSON_BYTES)
      return this.unparsed.hold(owner, size, () => this.parsing.run(owner, parse));
    return new Promise((resolve) => resolve(parse()));
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
        this.unfinished.remove(request);
        next(error);
      };
      // The parser would report it as well, but only when the rest of the body has arrived.
      const refuse = (reason: AppError = new PayloadTooLarge(maxBytes)) => finish(reason);
      // Its client has left while it was authenticated, perhaps after the whole body. No event will follow.
      if (request.destroyed && !request.readableEnded) return finish(new ConnectionClosed());
      if (Number(request.headers['content-length'] ?? 0) > maxBytes) return refuse();
      const owner = ownerOf(response);
      const encoding = request.headers['content-encoding']?.trim().toLowerCase() ?? '';
      if (!this.decompressor.knows(encoding)) {
        // The parser refuses a body with an encoding.
        if (isKept) delete request.headers['content-encoding'];
        this.track(request, { maxBytes, owner }, refuse);
        request
          .once('end', () => this.unfinished.remove(request))
          .once('close', () => this.unfinished.remove(request));
        return parse(request, response, finish);
      }
      return this.readCompressed(request, { maxBytes, encoding, isKept, owner }).then((body) => {
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
    {
      maxBytes,
      encoding,
      isKept,
      owner,
    }: { maxBytes: number; encoding: string; isKept: boolean; owner: WorkOwner | null },
  ): Promise<Buffer> {
    let compressed: Buffer | undefined;
    const { socket } = request;
    const left = new AbortController();
    const leave = () => left.abort();
    socket.once('close', leave);
    try {
      compressed = await new Promise<Buffer>((resolve, reject) => {
        const pieces: Buffer[] = [];
        const keep = (piece: Buffer) => void pieces.push(piece);
        request.on('data', keep);
        this.track(request, { maxBytes, owner }, (reason = new PayloadTooLarge(maxBytes)) => {
          request.off('data', keep);
          reject(reason);
        });
        request.once('end', () => resolve(Buffer.concat(pieces)));
        request.once('close', () => reject(new ConnectionClosed()));
      });
      if (compressed.length === 0) return compressed;
      const body = { encoding, maxBytes, owner };
      if (isKept) return await this.decompressor.decompress(compressed, body);
      return await this.decompressor.decompress(compressed, { ...body, signal: left.signal });
    } catch (error) {
      if (compressed && isKept) return compressed;
      throw left.signal.aborted ? new ConnectionClosed() : error;
    } finally {
      socket.off('close', leave);
      this.unfinished.remove(request);
    }
  }

  /** Counts what a request takes from now on, until it is removed. */
  private track(
    request: IncomingMessage,
    { maxBytes, owner }: { maxBytes: number; owner: WorkOwner | null },
    refuse: (reason?: AppError) => void,
  ): void {
    this.unfinished.add(request, owner);
    let received = 0;
    request.on('data', (piece: Buffer) => {
      received += piece.length;
      if (received <= maxBytes) return this.grow(request, piece.length + PIECE_BYTES);
      // What it had was dropped.
      this.unfinished.remove(request);
      refuse();
    });
  }

  private grow(request: IncomingMessage, bytes: number): void {
    this.unfinished.grow(request, bytes);
    for (let next; (next = this.unfinished.nextToCut(request));) {
      this.unfinished.remove(next);
      next.socket.destroy();
    }
  }
}

/** The authenticated caller, which the response has. There is none behind the link of a callback. */
function ownerOf({ locals }: { locals?: { caller?: Caller } }): WorkOwner | null {
  return locals?.caller ?? null;
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
