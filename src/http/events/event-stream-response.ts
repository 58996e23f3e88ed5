import { type Response } from 'express';
import { type StreamEndReason, type EventSink } from '../../core/events/event-sink.js';
import { acceptedBytesOf } from '../../core/events/accepted-bytes.js';

/** How long an EventSource waits before it reconnects. */
const RETRY_MS = 1_000;
/** A client that does not read the last message within this time is disconnected without it. */
const DESTROY_AFTER_MS = 2_000;
const RESPONSE_HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  // Makes nginx and compatible proxies forward events without buffering.
  'x-accel-buffering': 'no',
  connection: 'close',
};

/** `plain`: a rendered event is a complete block. `graphql`: it is a result, which is wrapped in the graphql-sse protocol. */
export type StreamFormat = 'plain' | 'graphql';

/**
 * A response that stays open. Its headers are sent with the first message, and until then it can still become an error
 * response.
 */
export class EventStreamResponse implements EventSink {
  private started = false;

  constructor(
    private readonly response: Response,
    private readonly format: StreamFormat,
  ) {}

  get bufferedBytes(): number {
    return this.response.writableLength;
  }

  get acceptedBytes(): number {
    return this.response.socket ? acceptedBytesOf(this.response.socket) : 0;
  }

  start(): void {
    if (this.started) return;
    this.started = true;
    this.response.writeHead(200, RESPONSE_HEADERS);
    this.write(this.format === 'plain' ? `retry: ${RETRY_MS}\n\n` : ':\n\n');
  }

  send(text: string): void {
    this.start();
    this.write(this.format === 'plain' ? text : `event: next\ndata: ${text}\n\n`);
  }

  batch(work: () => void): void {
    this.response.cork();
    try {
      work();
    } finally {
      this.response.uncork();
    }
  }

  complete(): void {
    this.start();
    this.write('event: complete\ndata:\n\n');
    this.response.end();
  }

  /** Ends the stream early. A graphql-sse client notices the missing `complete` and reconnects. */
  close(reason: StreamEndReason, cursor: string | null): void {
    this.start();
    const code = reason.toUpperCase().replaceAll('-', '_');
    if (this.format === 'plain') this.write(`event: closing\ndata: ${JSON.stringify({ code, cursor })}\n\n`);
    this.response.end();
    const destroyTimer = setTimeout(() => this.response.destroy(), DESTROY_AFTER_MS);
    this.response.once('close', () => clearTimeout(destroyTimer));
  }

  keepAlive(): void {
    if (this.started) this.write(':\n\n');
  }

  private write(text: string): void {
    if (!this.response.writableEnded && !this.response.destroyed) this.response.write(text);
  }
}
