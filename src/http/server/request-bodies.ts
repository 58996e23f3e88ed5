import { type IncomingMessage } from 'node:http';
import express, { type RequestHandler } from 'express';
import { PayloadTooLarge } from '../../core/errors.js';

/** Bounds of one body, after decompression. A document and its variables, the same as over WebSocket. */
export const MAX_STREAM_OPERATION_BYTES = 64 * 1024;
/** A batch of operations at /graphql, and the bodies of the Flux API. */
export const MAX_JSON_BYTES = 1024 * 1024;
/** Far above the size of a result, which holds links and a prompt. */
export const MAX_CALLBACK_BYTES = 10 * 1024 * 1024;
/** Bound for the bodies of all requests together that have not ended. They usually end within milliseconds. */
export const MAX_UNFINISHED_BYTES = 64 * 1024 * 1024;

/**
 * Parses the bodies of requests that were authenticated before, and bounds what they take in memory. If clients begin more
 * than MAX_UNFINISHED_BYTES without ending it, the request that began first is cut, so that a slow or hostile client delays
 * no other.
 */
export class RequestBodies {
  /** Bytes by request, the oldest first. */
  private readonly unfinished = new Map<IncomingMessage, number>();
  private totalBytes = 0;

  constructor(private readonly maxUnfinishedBytes = MAX_UNFINISHED_BYTES) {}

  /** Bytes of all requests that have not ended. */
  get unfinishedBytes(): number {
    return this.totalBytes;
  }

  /** Middleware for JSON. `strict: false` also accepts values that are not objects or lists. */
  json(maxBytes: number, { strict = true } = {}): RequestHandler {
    return this.bounded(maxBytes, express.json({ limit: maxBytes, strict }));
  }

  /** Middleware for a body of any type, as a Buffer. */
  raw(maxBytes: number): RequestHandler {
    return this.bounded(maxBytes, express.raw({ type: () => true, limit: maxBytes }));
  }

  private bounded(maxBytes: number, parse: RequestHandler): RequestHandler {
    return (request, response, next) => {
      let isDone = false;
      const finish = (error?: unknown) => {
        if (isDone) return;
        isDone = true;
        next(error);
      };
      // The parser would report it as well, but only when the rest of the body has arrived.
      const refuse = () => finish(new PayloadTooLarge(maxBytes));
      if (Number(request.headers['content-length'] ?? 0) > maxBytes) return refuse();
      this.track(request, maxBytes, refuse);
      return parse(request, response, finish);
    };
  }

  private track(request: IncomingMessage, maxBytes: number, refuse: () => void): void {
    this.unfinished.set(request, 0);
    let received = 0;
    // A compressed body can fill its bound with a few bytes.
    if (request.headers['content-encoding']) this.add(request, maxBytes);
    else
      request.on('data', (chunk: Buffer) => {
        received += chunk.length;
        if (received <= maxBytes) return this.add(request, chunk.length);
        // The parser has dropped what it had.
        this.forget(request);
        refuse();
      });
    request.once('end', () => this.forget(request)).once('close', () => this.forget(request));
  }

  private add(request: IncomingMessage, bytes: number): void {
    const before = this.unfinished.get(request);
    if (before === undefined) return;
    this.unfinished.set(request, before + bytes);
    this.totalBytes += bytes;
    for (const [oldest] of this.unfinished) {
      if (this.totalBytes <= this.maxUnfinishedBytes) return;
      this.forget(oldest);
      oldest.destroy();
    }
  }

  private forget(request: IncomingMessage): void {
    this.totalBytes -= this.unfinished.get(request) ?? 0;
    this.unfinished.delete(request);
  }
}
