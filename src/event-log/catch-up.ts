import { setImmediate as nextLoopTurn, setTimeout as delay } from 'node:timers/promises';
import { type Logger } from 'pino';
import { type TaskEvent } from '../core/events/task-event.js';
import { FairSlots } from '../core/limits/fair-slots.js';
import { type EventRepository } from '../db/events/event-repository.js';
import { type EventLog } from './event-log.js';
import { type Subscriber } from './subscriber.js';
import { type Topic } from './topic.js';

/** Events that are read, filtered and rendered together for a subscriber that is catching up. */
const CATCH_UP_PAGE_SIZE = 200;
/** Subscribers that may read old events from PostgreSQL at the same time. The others wait, and workspaces take turns. */
const MAX_CONCURRENT_READS = 4;
/** The rest is for other workspaces. One that is alone catches up about as fast as with all of them. */
const MAX_READS_PER_WORKSPACE = 3;
const READ_RETRY_MS = 250;

/**
 * Brings a subscriber that resumes from a cursor, or that fell behind, up to the end of the log. It reads what the
 * subscriber missed from the recent events, or from PostgreSQL when they do not go back far enough.
 */
export class CatchUp {
  private readonly reads = new FairSlots({
    capacity: MAX_CONCURRENT_READS,
    maxPerOwner: MAX_READS_PER_WORKSPACE,
  });

  constructor(private readonly deps: { eventLog: EventLog; events: EventRepository; log: Logger }) {}

  /** Sends the missed events page by page until the subscriber is live, complete, blocked or closed. Never rejects. */
  async send(subscriber: Subscriber): Promise<void> {
    await this.sendMissed(subscriber).catch((error: unknown) => subscriber.cut(error));
  }

  private async sendMissed(subscriber: Subscriber): Promise<void> {
    const { topic } = subscriber;
    const maySend = subscriber.beginCatchUp();
    while (maySend()) {
      const page =
        this.readRecentPage(topic, subscriber.position) ?? (await this.readDatabasePage(subscriber));
      if (!page || !maySend()) continue;
      if (page.events.length === 0 && page.isLast) {
        if (subscriber.position < page.endPosition) subscriber.position = page.endPosition;
        // Another instance may have sealed the event that settled the task, and this one may not have read it yet.
        if (subscriber.settledPosition === null || page.endPosition < subscriber.settledPosition)
          subscriber.goLive();
        else subscriber.complete();
        return;
      }
      if (!(await this.sendPage(subscriber, page, maySend))) return;
      if (subscriber.position < page.endPosition) subscriber.position = page.endPosition;
      // Cached renderings resolve without a real wait, so yield to let live subscribers be served too.
      await nextLoopTurn();
    }
  }

  /** Returns whether the subscriber has received the page and takes more. */
  private async sendPage(
    subscriber: Subscriber,
    { events }: EventPage,
    maySend: () => boolean,
  ): Promise<boolean> {
    const send = (batch: readonly TaskEvent[], texts: readonly string[]) => {
      if (maySend()) subscriber.sendBatch(batch, texts);
    };
    for (let sent = 0; sent < events.length;) {
      const count = await subscriber.topic.render(events.slice(sent), send, subscriber);
      if (count === 0 || !maySend()) return false;
      sent += count;
    }
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
   * Reads a page from PostgreSQL. Null when the recent events were extended back to the position instead, when reading failed, or
   * when the subscriber has left: the caller tries again if it may.
   */
  private async readDatabasePage(subscriber: Subscriber): Promise<EventPage | null> {
    const { recent } = this.deps.eventLog;
    const { topic, position, left } = subscriber;
    const request = { owner: topic.scope.workspaceId, signal: left };
    try {
      if (recent.canExtendTo(position)) {
        await recent.extendBackTo(position);
        return null;
      }
      return await this.reads.run(request, () => this.readScopePage(topic, position));
    } catch (error) {
      if (left.aborted) return null;
      this.deps.log.warn({ err: error }, 'cannot read old events; retrying');
      await delay(READ_RETRY_MS);
      return null;
    }
  }

  private async readScopePage(topic: Topic, position: bigint): Promise<EventPage> {
    const { endPosition } = this.deps.eventLog.recent;
    const range = { position, endPosition, limit: CATCH_UP_PAGE_SIZE };
    const found = await this.deps.events.readScopePage(topic.scope, range);
    return { ...found, events: found.events.filter((event) => topic.matches(event)), isLast: false };
  }
}

/** Events of one scope, and how far the log was searched for them. */
interface EventPage {
  events: TaskEvent[];
  endPosition: bigint;
  /** Whether the log had no event after `endPosition`. */
  isLast: boolean;
}
