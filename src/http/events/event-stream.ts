import { type Response } from 'express';
import { type Ending, type Outlet } from '../../core/events/event-sink.js';

/** What an EventSource waits before it connects again. */
const RETRY_MS = 1_000;
/** Who does not read is not told either. */
const CUT_AFTER_MS = 2_000;
const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store, no-transform',
  // nginx and those who learned from it pass on what comes as it comes.
  'x-accel-buffering': 'no',
  connection: 'close',
};

/** `plain`: rendered events are whole blocks. `graphql`: they are results, wrapped as graphql-sse wants them. */
export type StreamForm = 'plain' | 'graphql';

/** One response that stays open. Its headers go out with the first thing to say; until then it can still be refused. */
export class EventStream implements Outlet {
  private begun = false;

  constructor(
    private readonly response: Response,
    private readonly form: StreamForm,
  ) {}

  get backlogBytes(): number {
    return this.response.writableLength;
  }

  begin(): void {
    if (this.begun) return;
    this.begun = true;
    this.response.writeHead(200, HEADERS);
    this.write(this.form === 'plain' ? `retry: ${RETRY_MS}\n\n` : ':\n\n');
  }

  send(text: string): void {
    this.begin();
    this.write(this.form === 'plain' ? text : `event: next\ndata: ${text}\n\n`);
  }

  together(work: () => void): void {
    this.response.cork();
    work();
    this.response.uncork();
  }

  complete(): void {
    this.begin();
    this.write('event: complete\ndata:\n\n');
    this.response.end();
  }

  close(ending: Ending, cursor: string): void {
    this.end(ending, cursor);
  }

  /** Ends it before its time; a graphql-sse client sees that `complete` is missing and comes back. */
  end(ending: Ending, cursor: string | null): void {
    this.begin();
    const code = ending.toUpperCase().replaceAll('-', '_');
    if (this.form === 'plain') this.write(`event: closing\ndata: ${JSON.stringify({ code, cursor })}\n\n`);
    this.response.end();
    const cut = setTimeout(() => this.response.destroy(), CUT_AFTER_MS);
    this.response.once('close', () => clearTimeout(cut));
  }

  keepAlive(): void {
    if (this.begun) this.write(':\n\n');
  }

  private write(text: string): void {
    if (!this.response.writableEnded && !this.response.destroyed) this.response.write(text);
  }
}
