import { setImmediate as nextLoopTurn, setTimeout as delay } from 'node:timers/promises';
import { type Logger } from 'pino';
import { type TaskEvent } from '../core/events/task-event.js';
import { FairSlots, NoFreeSlot } from '../core/limits/fair-slots.js';
import { type EventRepository } from '../db/events/event-repository.js';
import { type EventRangePage } from '../db/events/visible-events.js';
import { type EventLog } from './event-log.js';
import { type Subscriber } from './subscriber.js';
import { type Topic } from './topic.js';

/** Events that are read, filtered and rendered together for a subscriber that is catching up. */
const CATCH_UP_PAGE_SIZE = 200;
/** Subscribers that may read old events from PostgreSQL at the same time. The others wait, and workspaces take turns. */
const MAX_CONCURRENT_READS = 4;
/** The rest is for other workspaces. One that is alone catches up about as fast as with all of them. */
const MAX_READS_PER_WORKSPACE = 3;
/** Pages from PostgreSQL that are in memory at the same time, until they are sent. An event has about 1 kB. */
const MAX_OLD_PAGES = 32;
/** A workspace with slow renderings keeps its pages for long. Eight such workspaces take all pages, and fewer leave some free. */
const MAX_OLD_PAGES_PER_WORKSPACE = 4;
const RETRY_MS = 250;

/**
 * Brings a subscriber that resumes from a cursor, or that fell behind, up to the end of the log. It reads what the
 * subscriber missed from the recent events, or from PostgreSQL when they do not go back far enough.
 */
export class CatchUp {
  private readonly reads = new FairSlots({
    capacity: MAX_CONCURRENT_READS,
    maxPerOwner: MAX_READS_PER_WORKSPACE,
  });
  private readonly oldPages = new FairSlots({
    capacity: MAX_OLD_PAGES,
    maxPerOwner: MAX_OLD_PAGES_PER_WORKSPACE,
  });

  constructor(private readonly deps: { eventLog: EventLog; events: EventRepository; log: Logger }) {}

  /** Sends the missed events page by page until the subscriber is live, complete, blocked or closed. Never rejects. */
  async send(subscriber: Subscriber): Promise<void> {
    await this.sendMissed(subscriber).catch((error: unknown) => {
      // Slots are waited for until the subscriber has left.
      if (!(error instanceof NoFreeSlot)) subscriber.cut(error);
    });
  }

  private async sendMissed(subscriber: Subscriber): Promise<void> {
    const maySend = subscriber.beginCatchUp();
    while (maySend()) {
      const page = this.readRecentPage(subscriber.topic, subscriber.position);
      if (page?.isLast && page.events.length === 0) {
        end(subscriber, page);
        return;
      }
      const isDone = page
        ? await this.sendPage(subscriber, page, maySend)
        : await this.sendOldPage(subscriber, maySend);
      if (!isDone && maySend()) await delay(RETRY_MS);
      // Cached renderings resolve without a real wait, so yield to let live subscribers be served too.
      await nextLoopTurn();
    }
  }

  /** Returns whether the subscriber has received the page. If not, rendering failed, or it takes no more. */
  private async sendPage(
    subscriber: Subscriber,
    { events, endPosition }: EventPage,
    maySend: () => boolean,
  ): Promise<boolean> {
    const send = (batch: readonly TaskEvent[], texts: readonly string[]) => {
      if (maySend()) subscriber.sendBatch(batch, texts);
    };
    for (let sent = 0; sent < events.length;) {
      const count = await subscriber.topic.tryToRender(events.slice(sent), send, subscriber);
      if (count === 0 || !maySend()) return false;
      sent += count;
    }
    if (subscriber.position < endPosition) subscriber.position = endPosition;
    return true;
  }

  /** Synchronous, so that no event can arrive between an empty last page and going live. Null when `position` is too old. */
  private readRecentPage(topic: Topic, position: bigint): EventPage | null {
    const { recent } = this.deps.eventLog;
    const found = recent.eventsAfter(position, CATCH_UP_PAGE_SIZE);
    if (!found) return null;
    const events = found.filter((event) => topic.matches(event));
    const endPosition = found.at(-1)?.position ?? position;
    return { events, endPosition, isLast: endPosition >= recent.endPosition };
  }

  /**
   * Reads a page from PostgreSQL and sends it, or extends the recent events back to the position instead. Returns false when that
   * failed, and when the subscriber takes no more.
   *
   * The slot of the page is held until the page is sent. Its holder waits for slots of reads and of renderings, and no holder of
   * those waits for a page, so they cannot wait for each other. It is never held while a connection does not drain or a failed
   * rendering is retried: sending ends then, and the rest of the page is read again.
   */
  private async sendOldPage(subscriber: Subscriber, maySend: () => boolean): Promise<boolean> {
    const { recent } = this.deps.eventLog;
    const { topic, position, left } = subscriber;
    if (recent.canExtendTo(position))
      return (await this.tryToRead(subscriber, () => recent.extendBackTo(position))) !== FAILED;
    return this.oldPages.run({ owner: topic.scope.workspaceId, signal: left }, async () => {
      const found = await this.tryToRead(subscriber, () => this.readOldPage(subscriber));
      if (found === FAILED || !maySend()) return false;
      // A filter that throws would throw again, so only reading is retried.
      const events = found.events.filter((event) => topic.matches(event));
      return this.sendPage(subscriber, { ...found, events, isLast: false }, maySend);
    });
  }

  private async readOldPage({ topic, position, left }: Subscriber): Promise<EventRangePage> {
    const range = { position, limit: CATCH_UP_PAGE_SIZE };
    return this.reads.run({ owner: topic.scope.workspaceId, signal: left }, () => {
      const { endPosition } = this.deps.eventLog.recent;
      return this.deps.events.readScopePage(topic.scope, { ...range, endPosition });
    });
  }

  private async tryToRead<Result>(
    { left }: Subscriber,
    read: () => Promise<Result>,
  ): Promise<Result | typeof FAILED> {
    try {
      return await read();
    } catch (error) {
      if (!left.aborted) this.deps.log.warn({ err: error }, 'cannot read old events; retrying');
      return FAILED;
    }
  }
}

const FAILED = Symbol('failed');

function end(subscriber: Subscriber, { endPosition }: EventPage): void {
  if (subscriber.position < endPosition) subscriber.position = endPosition;
  // Another instance may have sealed the event that settled the task, and this one may not have read it yet.
  if (subscriber.settledPosition === null || endPosition < subscriber.settledPosition) subscriber.goLive();
  else subscriber.complete();
}

/** Events of one scope, and how far the log was searched for them. */
interface EventPage extends EventRangePage {
  /** Whether the log had no event after `endPosition`. */
  isLast: boolean;
}
