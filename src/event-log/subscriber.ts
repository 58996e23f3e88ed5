import { type Logger } from 'pino';
import { type TaskEvent } from '../core/events/task-event.js';
import { type StreamEndReason, type EventSink } from '../core/events/event-sink.js';
import { type Topic } from './topic.js';

/** How much may be buffered for one slow connection. */
export interface BufferLimits {
  maxEvents: number;
  maxBytes: number;
}

/** The part of the broadcaster that a subscriber uses. */
export interface SubscriberHost {
  readonly bufferLimits: BufferLimits;
  readonly log: Logger;
  cursorAt(position: bigint): string;
  /** Reads and sends the events the subscriber has missed, then makes it live. */
  catchUp(subscriber: Subscriber): void;
  /** Calls `fallBack` once the connection has accepted everything that was sent, or closes the subscriber when it stalls. */
  waitForDrain(subscriber: Subscriber): void;
  removeSubscriber(subscriber: Subscriber): void;
}

/**
 * One subscription and its position in the event log.
 *
 *   catching-up -> live <-> catching-up
 *        |           |
 *        +-> blocked <+    the connection accepts no more data; only the position is kept
 *   any -> closed          the task is settled, the client has left, or the connection stalled for too long or failed
 *
 * A subscriber that is not live reads from the recent events or from PostgreSQL, so a slow one costs no memory.
 */
export class Subscriber {
  state: 'catching-up' | 'live' | 'blocked' | 'closed' = 'catching-up';
  /** Events sent since the connection last had nothing buffered. */
  private bufferedEvents = 0;
  /** Number of the catch-up that may send to it. An earlier one may still be waiting for its texts. */
  private catchUpNumber = 0;
  private leaving: AbortController | null = null;

  readonly sink: EventSink;
  /** Every event of the topic up to and including this position was sent. */
  position: bigint;
  /** Position of the last event, when the task was already settled on subscribing. Null: the event that settles it is the last. */
  readonly settledPosition: bigint | null;

  constructor(
    private readonly host: SubscriberHost,
    readonly topic: Topic,
    { sink, position, settledPosition }: Pick<Subscriber, 'sink' | 'position' | 'settledPosition'>,
  ) {
    this.sink = sink;
    this.position = position;
    this.settledPosition = settledPosition;
  }

  /** Aborted when the subscription ends. It is created when work has to wait, because most subscribers never need it. */
  get left(): AbortSignal {
    this.leaving ??= new AbortController();
    if (this.state === 'closed') this.leaving.abort();
    return this.leaving.signal;
  }

  /** Whether one more event may be sent. */
  hasCapacity(): boolean {
    const { bufferedBytes } = this.sink;
    if (bufferedBytes === 0) this.bufferedEvents = 0;
    const { maxEvents, maxBytes } = this.host.bufferLimits;
    return this.bufferedEvents < maxEvents && bufferedBytes < maxBytes;
  }

  /** Takes live events. Those already sent are skipped by their position. */
  receive(events: readonly TaskEvent[], texts: readonly string[]): void {
    if (this.state === 'live') this.sendBatch(events, texts);
  }

  /** Sends the events that were not sent yet, until the state changes. Blocks when the connection has no capacity left. */
  sendBatch(events: readonly TaskEvent[], texts: readonly string[]): void {
    try {
      this.sendUntilBlocked(events, texts);
    } catch (error) {
      this.cut(error);
    }
  }

  private sendUntilBlocked(events: readonly TaskEvent[], texts: readonly string[]): void {
    const { state } = this;
    let next = 0;
    const sendWhilePossible = () => {
      for (; next < events.length && this.state === state; next += 1) {
        const event = events[next];
        if (event && event.position > this.position && !this.send(event, texts[next] ?? '')) return;
      }
    };
    while (next < events.length && this.state === state) {
      // Bytes of a batch reach the connection only when the batch ends, so the capacity is checked again after it.
      if (!this.hasCapacity()) this.waitForDrain();
      else if (events.length === 1) sendWhilePossible();
      else this.sink.batch(sendWhilePossible);
    }
  }

  /** Sends the next event. Returns false without sending when the connection has no capacity. */
  private send(event: TaskEvent, text: string): boolean {
    if (!this.hasCapacity()) return false;
    this.sink.send(text);
    this.bufferedEvents += 1;
    this.position = event.position;
    const isLast = this.settledPosition === null ? event.settlesTask : event.position >= this.settledPosition;
    if (isLast && this.topic.scope.taskId !== null) this.complete();
    return true;
  }

  goLive(): void {
    this.state = 'live';
    this.topic.addLive(this);
  }

  /** Returns a function that tells whether the catch-up that begins now may still send. */
  beginCatchUp(): () => boolean {
    this.catchUpNumber += 1;
    const number = this.catchUpNumber;
    return () => this.state === 'catching-up' && this.catchUpNumber === number;
  }

  /** Goes back from live to reading missed events. */
  fallBack(): void {
    this.topic.removeLive(this);
    this.state = 'catching-up';
    this.host.catchUp(this);
  }

  waitForDrain(): void {
    this.topic.removeLive(this);
    this.state = 'blocked';
    this.host.waitForDrain(this);
  }

  complete(): void {
    if (this.unsubscribe()) this.runOrCut(() => this.sink.complete());
  }

  /** Ends the subscriber's connection and tells the client where to resume. */
  close(ending: StreamEndReason): void {
    if (this.unsubscribe()) this.runOrCut(() => this.sink.close(ending, this.host.cursorAt(this.position)));
  }

  /** Runs `work`, which uses the sink, and cuts the subscriber if that throws. */
  runOrCut(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.cut(error);
    }
  }

  /**
   * Closes the connection after an unexpected error. It might be sent the next event without this one otherwise. The client resumes
   * after the last event that it has received.
   */
  cut(error: unknown): void {
    this.unsubscribe();
    const { log } = this.host;
    const { workspaceId, taskId } = this.topic.scope;
    log.error(
      { err: error, workspaceId, taskId, position: String(this.position) },
      'pushing events failed; closing the connection, so that its client resumes',
    );
    try {
      this.sink.close('going-away', this.host.cursorAt(this.position));
    } catch (closeError) {
      log.error({ err: closeError }, 'cannot close a connection to which pushing events failed');
    }
  }

  /** Ends the subscription without a message, because the client left. Returns false when it had already ended. */
  unsubscribe(): boolean {
    if (this.state === 'closed') return false;
    this.state = 'closed';
    this.leaving?.abort();
    this.topic.removeLive(this);
    this.host.removeSubscriber(this);
    return true;
  }
}
