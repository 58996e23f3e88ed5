import { setImmediate as nextLoopTurn, setTimeout as delay } from 'node:timers/promises';
import { type Logger } from 'pino';
import { isVisible } from '../core/access/visibility.js';
import { NoFreeSlot } from '../core/limits/fair-slots.js';
import { SingleFlights, singleFlightWithRerun } from '../core/primitives/async.js';
import { newId } from '../core/primitives/ids.js';
import { type TaskEvent } from '../core/events/task-event.js';
import { type EventScope } from '../db/events/event-repository.js';
import { isLarge, type Renderings } from './renderings.js';

/** What a group of subscribers shares: which events they receive and how each event is rendered. */
export interface TopicOptions {
  /** Subscribers with equal keys receive the same output and share every rendering. */
  key: string;
  scope: EventScope;
  /** Whether subscribers receive this event of the scope. */
  matches(event: TaskEvent): boolean;
  /** The event as it is sent. Called once for each event, and again later when it rejects. */
  render(event: TaskEvent): Promise<string>;
  /** Fields of a rendered event, about. */
  renderingCost: number;
}

/** The part of `Subscriber` that a topic uses. */
interface LiveSubscriber {
  receive(events: readonly TaskEvent[], texts: readonly string[]): void;
  fallBack(): void;
  /** Closes the connection after an unexpected error. */
  cut(error: unknown): void;
}

/** With more events than this to render, subscribers fall back to reading for themselves, which bounds memory. */
const MAX_PENDING = 4_096;
/** The event loop serves other sockets between slices. A slice takes about 10 ms. */
const SUBSCRIBERS_PER_SLICE = 500;
const RENDER_RETRY_MS = 250;

/** Renders each event once and sends the result to all subscribers of the same document. */
export class Topic {
  /** Tells the renderings of topics apart, because keys are long. */
  private readonly id = newId();
  readonly key: string;
  readonly scope: EventScope;
  /** All current subscribers. */
  readonly subscribers = new Set<LiveSubscriber>();
  /** Subscribers that have seen everything so far. The others read missed events for themselves. */
  private readonly liveSubscribers = new Set<LiveSubscriber>();
  private readonly inProgress = new SingleFlights<bigint, string>();
  private readonly ending = new AbortController();
  /** Whether an event was large. Those that follow will be as well. */
  private isLarge = false;
  private pending: TaskEvent[] = [];
  /** Resolves when every event passed to `broadcast` was written to the sockets. */
  readonly whenIdle = singleFlightWithRerun(() => this.broadcastPending());

  constructor(
    private readonly options: TopicOptions,
    private readonly renderings: Renderings,
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

  /** Aborted when the last subscriber has left. The topic gets no other one then. */
  get left(): AbortSignal {
    return this.ending.signal;
  }

  end(): void {
    this.ending.abort();
  }

  /**
   * Renders the first of these events, as many as may be rendered together, and passes them to `send`. Returns how many these are.
   * Retries until rendering succeeds, because an event must not be skipped while the database is down for a moment. Returns 0 when
   * the recipient has left, by default the last subscriber. After any other error, every subscriber that would miss the events must
   * be cut.
   */
  async render(
    events: readonly TaskEvent[],
    send: SendTexts,
    recipient: { readonly left: AbortSignal } = this,
  ): Promise<number> {
    for (;;) {
      const count = await this.tryToRender(events, send, recipient);
      if (count > 0 || recipient.left.aborted) return count;
      await delay(RENDER_RETRY_MS);
    }
  }

  /** Like `render`, but returns 0 also when rendering fails, so that the caller does not have to keep the events until then. */
  async tryToRender(
    events: readonly TaskEvent[],
    send: SendTexts,
    recipient: { readonly left: AbortSignal },
  ): Promise<number> {
    const batch = events.slice(0, this.renderings.batchSizeOf(this.options.renderingCost));
    const known = batch.map((event) => this.renderings.find(this.keyOf(event)));
    if (known.every((text) => text !== undefined)) {
      await send(batch, known);
      return batch.length;
    }
    return (await this.renderInTurn(batch, send, recipient.left)) ? batch.length : 0;
  }

  /** Returns whether it succeeded. */
  private async renderInTurn(
    batch: readonly TaskEvent[],
    send: SendTexts,
    signal: AbortSignal,
  ): Promise<boolean> {
    let isSent = false;
    const work = async () => {
      const texts = await this.renderAll(batch);
      if (!texts) return 0;
      this.isLarge ||= isLarge(texts);
      await send(batch, texts);
      isSent = true;
      return texts.reduce((sum, { length }) => sum + length, 0);
    };
    const turn = { owner: this.scope.workspaceId, signal };
    try {
      if (this.isLarge) await this.renderings.runLarge(turn, work);
      else await this.renderings.run({ ...turn, weight: batch.length * this.options.renderingCost }, work);
    } catch (error) {
      if (!(error instanceof NoFreeSlot)) throw error;
    }
    return isSent;
  }

  private async renderAll(batch: readonly TaskEvent[]): Promise<string[] | null> {
    try {
      return await Promise.all(batch.map((event) => this.renderOnce(event)));
    } catch (error) {
      const positions = batch.map(({ position }) => String(position));
      if (this.subscribers.size > 0)
        this.log.warn({ err: error, positions }, 'cannot render an event; retrying');
      return null;
    }
  }

  private async renderOnce(event: TaskEvent): Promise<string> {
    const key = this.keyOf(event);
    const known = this.renderings.find(key);
    if (known !== undefined) return known;
    const text = await this.inProgress.run(event.position, () => this.options.render(event));
    this.renderings.keep(key, text);
    return text;
  }

  private keyOf({ position }: TaskEvent): string {
    return `${this.id} ${position}`;
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
      const { pending } = this;
      const count = await this.render(pending, (events, texts) => this.sendToLive(events, texts)).catch(
        (error: unknown) => this.cutAll(error, this.liveSubscribers),
      );
      if (count === 0) break;
      // Too many pending events may have been replaced by none meanwhile.
      pending.splice(0, count);
    }
    this.pending = [];
  }

  /** Closes the connections of these subscribers after an unexpected error. Returns 0, the number of events that were sent. */
  cutAll(error: unknown, subscribers: ReadonlySet<LiveSubscriber> = this.subscribers): 0 {
    for (const subscriber of [...subscribers]) subscriber.cut(error);
    return 0;
  }

  private async sendToLive(events: readonly TaskEvent[], texts: readonly string[]): Promise<void> {
    const subscribers = [...this.liveSubscribers];
    for (let start = 0; start < subscribers.length; start += SUBSCRIBERS_PER_SLICE) {
      if (start > 0) await nextLoopTurn();
      for (const subscriber of subscribers.slice(start, start + SUBSCRIBERS_PER_SLICE))
        subscriber.receive(events, texts);
    }
  }
}

/** Sends rendered events. `texts` belong to `events`, in their order. */
type SendTexts = (events: readonly TaskEvent[], texts: readonly string[]) => Promise<void> | void;
