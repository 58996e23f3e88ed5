import { setImmediate as nextTick, setTimeout as delay } from 'node:timers/promises';
import { type Logger } from 'pino';
import { isVisible } from '../core/access/visibility.js';
import { singleFlightWithRerun } from '../core/primitives/async.js';
import { type TaskEvent } from '../core/events/task-event.js';
import { type EventScope } from '../db/events/event-repository.js';

/** What a group of subscribers shares: which events they receive and how each event is rendered. */
export interface TopicOptions {
  /** Subscribers with equal keys receive the same output and share every rendering. */
  key: string;
  scope: EventScope;
  /** Whether subscribers receive this event of the scope. */
  matches(event: TaskEvent): boolean;
  /** The event as it is sent. Called once for each event, and again later when it rejects. */
  render(event: TaskEvent): Promise<string>;
}

/** The part of `Subscriber` that a topic uses. */
interface LiveSubscriber {
  receive(events: readonly TaskEvent[], texts: readonly string[]): void;
  fallBack(): void;
}

/** Reconnecting subscribers mostly need the same few hundred events. */
const MAX_CACHED_RENDERINGS = 512;
/** Events rendered at the same time, so that their database reads are batched. */
const RENDER_BATCH_SIZE = 64;
/** With more events than this to render, subscribers fall back to reading for themselves, which bounds memory. */
const MAX_PENDING = 4_096;
/** The event loop serves other sockets between slices. A slice takes about 10 ms. */
const SUBSCRIBERS_PER_SLICE = 500;
const RENDER_RETRY_MS = 250;

/** Renders each event once and sends the result to all subscribers of the same document. */
export class Topic {
  readonly key: string;
  readonly scope: EventScope;
  /** All current subscribers. */
  readonly subscribers = new Set<LiveSubscriber>();
  /** Subscribers that have seen everything so far. The others read missed events for themselves. */
  private readonly liveSubscribers = new Set<LiveSubscriber>();
  private readonly renderings = new Map<bigint, Promise<string>>();
  private pending: TaskEvent[] = [];
  /** Resolves when every event passed to `broadcast` was written to the sockets. */
  readonly whenIdle = singleFlightWithRerun(() => this.broadcastPending());

  constructor(
    private readonly options: TopicOptions,
    private readonly log: Logger,
  ) {
    this.key = options.key;
    this.scope = options.scope;
  }

  /** Whether the event is in scope and its subscribers asked for it. */
  matches(event: TaskEvent): boolean {
    const { taskId } = this.scope;
    const isInScope = isVisible(this.scope, event) && (taskId === null || event.taskId === taskId);
    return isInScope && this.options.matches(event);
  }

  /** The event as it is sent. Rejects when the last subscriber has left. */
  renderCached(event: TaskEvent): Promise<string> {
    const known = this.renderings.get(event.position);
    if (known) return known;
    const text = this.render(event);
    text.catch(() => this.renderings.delete(event.position));
    this.renderings.set(event.position, text);
    const [oldest] = this.renderings.keys();
    if (this.renderings.size > MAX_CACHED_RENDERINGS && oldest !== undefined) this.renderings.delete(oldest);
    return text;
  }

  /** Sends newly sealed events to the live subscribers. */
  broadcast(events: readonly TaskEvent[]): void {
    if (this.liveSubscribers.size === 0) return;
    this.pending.push(...events);
    if (this.pending.length > MAX_PENDING) {
      this.pending = [];
      for (const subscriber of [...this.liveSubscribers]) subscriber.fallBack();
    }
    void this.whenIdle();
  }

  /** Sends the subscriber all events from now on. It must have seen every earlier one. */
  addLive(subscriber: LiveSubscriber): void {
    this.liveSubscribers.add(subscriber);
  }

  removeLive(subscriber: LiveSubscriber): void {
    this.liveSubscribers.delete(subscriber);
  }

  private async broadcastPending(): Promise<void> {
    while (this.pending.length > 0 && this.liveSubscribers.size > 0) {
      const batch = this.pending.splice(0, RENDER_BATCH_SIZE);
      const texts = await Promise.all(batch.map((event) => this.renderCached(event))).catch(() => null);
      if (!texts) break;
      const subscribers = [...this.liveSubscribers];
      for (let start = 0; start < subscribers.length; start += SUBSCRIBERS_PER_SLICE) {
        if (start > 0) await nextTick();
        for (const subscriber of subscribers.slice(start, start + SUBSCRIBERS_PER_SLICE))
          subscriber.receive(batch, texts);
      }
    }
    this.pending = [];
  }

  /** Retries until rendering succeeds: an event must not be skipped because the database is down for a moment. */
  private async render(event: TaskEvent): Promise<string> {
    for (;;) {
      try {
        return await this.options.render(event);
      } catch (error) {
        if (this.subscribers.size === 0) throw error;
        this.log.warn({ err: error, position: String(event.position) }, 'cannot render an event; retrying');
        await delay(RENDER_RETRY_MS);
      }
    }
  }
}
