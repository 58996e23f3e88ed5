import { bulkhead } from 'cockatiel';
import { type Logger } from 'pino';
import { type EventCursors } from '../core/events/event-cursor.js';
import { type TaskEvent } from '../core/events/task-event.js';
import { type Outlet } from '../core/events/event-sink.js';
import { reaches } from '../core/access/visibility.js';
import { type Events, type Scope } from '../db/events/event-repository.js';
import { type EventLog } from './event-log.js';
import { Topic, type TopicOptions } from './topic.js';
import { type Buffering, Watcher, type WatcherHost } from './subscriber.js';

/** Events looked through, read and rendered together for one watcher that catches up. */
const PAGE = 200;
/** Watchers that read old events from Postgres at the same time; the others wait for their turn. */
const READS_AT_ONCE = 4;
const READ_RETRY_MS = 250;
/** The last push at the end: sockets must be told that we go, and their clients go on elsewhere from where they were. */
const FLUSH_MS = 1_500;
/** How often those who wait are looked at. */
const ROOM_CHECK_MS = 50;

export interface FeedOptions {
  buffering: Buffering;
  cursors: EventCursors;
  /** A watcher whose network takes nothing for so long is closed. */
  stallMs: number;
}

/** Where a watcher begins. */
export interface Start {
  /** Everything up to here was seen. */
  position: bigint;
  /** Sent first, whatever its position; null: nothing is. */
  first: TaskEvent | null;
  /** The position of the last event of a task that is settled; null while more is expected, and for a workspace. */
  overAt: bigint | null;
}

/**
 * Everybody on this instance who watches: events come in once from the log and go out to all topics of their workspace
 * and task. The work in Postgres grows with instances, not with watchers.
 */
export class Feed implements WatcherHost {
  readonly buffering: Buffering;
  private readonly topics = new Map<string, Topic>();
  private readonly topicsOf = new Map<string, Set<Topic>>();
  private readonly reads = bulkhead(READS_AT_ONCE, Infinity);
  private readonly waiting = new Map<Watcher, { since: number; backlogBytes: number }>();
  private roomCheck: NodeJS.Timeout | null = null;

  constructor(
    private readonly eventLog: EventLog,
    private readonly events: Events,
    private readonly options: FeedOptions,
    private readonly log: Logger,
  ) {
    this.buffering = options.buffering;
  }

  /** Sends everything behind `start` to the outlet, each event once and in order. The watcher is `leave`d by who opened it. */
  watch(options: TopicOptions, start: Start, outlet: Outlet): Watcher {
    const topic = this.topics.get(options.key) ?? this.open(options);
    const watcher = new Watcher(this, topic, outlet, start.position, start.overAt);
    topic.watchers.add(watcher);
    if (start.first) void this.sendFirst(watcher, start.first);
    else this.catchUp(watcher);
    return watcher;
  }

  /** Pushes what is known so far, for the last moment before the sockets close. Gives up after 1.5 s: Postgres may be away. */
  async flush(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.log.warn('the last events could not be pushed in time; clients read them when they come back');
        resolve();
      }, FLUSH_MS);
    });
    await Promise.race([this.pushEverything(), tooLate]).finally(() => clearTimeout(timer));
  }

  private async pushEverything(): Promise<void> {
    await this.eventLog.flush();
    await Promise.all([...this.topics.values()].map((topic) => topic.idle()));
  }

  catchUp(watcher: Watcher): void {
    void this.readAndSend(watcher);
  }

  waitForRoom(watcher: Watcher): void {
    this.waiting.set(watcher, { since: Date.now(), backlogBytes: watcher.outlet.backlogBytes });
    this.roomCheck ??= setInterval(() => this.checkRoom(), ROOM_CHECK_MS);
  }

  cursorAt(position: bigint): string {
    return this.options.cursors.encode(position);
  }

  left(watcher: Watcher): void {
    const { topic } = watcher;
    this.waiting.delete(watcher);
    topic.watchers.delete(watcher);
    if (topic.watchers.size > 0) return;
    this.topics.delete(topic.key);
    const place = placeOf(topic.scope);
    const neighbours = this.topicsOf.get(place);
    neighbours?.delete(topic);
    if (neighbours?.size === 0) this.topicsOf.delete(place);
    if (this.topics.size === 0) this.eventLog.stopReading();
  }

  private open(options: TopicOptions): Topic {
    if (this.topics.size === 0) this.eventLog.read((batch) => this.route(batch));
    const topic = new Topic(options, this.log);
    this.topics.set(options.key, topic);
    const place = placeOf(options.scope);
    this.topicsOf.set(place, (this.topicsOf.get(place) ?? new Set()).add(topic));
    return topic;
  }

  private route(batch: readonly TaskEvent[]): void {
    const shown = new Map<Topic, TaskEvent[]>();
    for (const event of batch) {
      for (const place of placesOf(event)) {
        for (const topic of this.topicsOf.get(place) ?? []) {
          if (!isIn(topic.scope, event) || !topic.matches(event)) continue;
          const events = shown.get(topic);
          if (events) events.push(event);
          else shown.set(topic, [event]);
        }
      }
    }
    for (const [topic, events] of shown) topic.push(events);
  }

  private async sendFirst(watcher: Watcher, event: TaskEvent): Promise<void> {
    const text = await watcher.topic.text(event).catch(() => null);
    if (text === null || watcher.state === 'over') return;
    watcher.outlet.send(text);
    this.catchUp(watcher);
  }

  private async readAndSend(watcher: Watcher): Promise<void> {
    const { topic } = watcher;
    while (watcher.state === 'catching up') {
      const page = this.recentPage(topic, watcher.position) ?? (await this.oldPage(topic, watcher.position));
      if (!page) continue;
      if (page.events.length === 0 && page.isLast) {
        if (watcher.position < page.end) watcher.position = page.end;
        // What settled the task can be sealed by another instance, and not be read by this one yet.
        if (watcher.overAt === null || page.end < watcher.overAt) watcher.goLive();
        else watcher.complete();
        return;
      }
      const texts = await Promise.all(page.events.map((event) => topic.text(event))).catch(() => null);
      if (!texts) return;
      if (watcher.state !== 'catching up') return;
      watcher.sendAll(page.events, texts);
      if (watcher.state !== 'catching up') return;
      if (watcher.position < page.end) watcher.position = page.end;
      // Texts that others had rendered come without a wait: those who are live have their turn too.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Without waiting, so that nothing can come between an empty last page and going live. Null: not recent. */
  private recentPage(topic: Topic, position: bigint): Page | null {
    const { recent } = this.eventLog;
    const found = recent.after(position, PAGE);
    if (!found) return null;
    const events = found.filter((event) => isIn(topic.scope, event) && topic.matches(event));
    const end = found.at(-1)?.position ?? position;
    return { events, end, isLast: end >= recent.end };
  }

  /** From Postgres, or after the recent events have grown back to here; then the caller looks there again. */
  private async oldPage(topic: Topic, position: bigint): Promise<Page | null> {
    const { recent } = this.eventLog;
    try {
      if (recent.isNear(position)) {
        await recent.growTo(position);
        return null;
      }
      const { end } = recent;
      const read = () => this.events.readScopeAfter(topic.scope, position, PAGE);
      const found = await this.reads.execute(read);
      const isFull = found.length === PAGE;
      return {
        events: found.filter((event) => topic.matches(event)),
        end: isFull ? (found.at(-1)?.position ?? position) : end,
        isLast: false,
      };
    } catch (error) {
      this.log.warn({ err: error }, 'old events cannot be read; it is tried again');
      await new Promise((resolve) => setTimeout(resolve, READ_RETRY_MS));
      return null;
    }
  }

  private checkRoom(): void {
    const now = Date.now();
    for (const [watcher, wait] of this.waiting) {
      const { backlogBytes } = watcher.outlet;
      if (backlogBytes === 0) {
        this.waiting.delete(watcher);
        watcher.readAgain();
      } else if (backlogBytes < wait.backlogBytes) {
        this.waiting.set(watcher, { since: now, backlogBytes });
      } else if (now - wait.since > this.options.stallMs) {
        watcher.close('too-slow');
      }
    }
    if (this.waiting.size > 0 || !this.roomCheck) return;
    clearInterval(this.roomCheck);
    this.roomCheck = null;
  }
}

/** Events of a scope, and how far the log was looked through for them. */
interface Page {
  events: TaskEvent[];
  end: bigint;
  /** Nothing more had been handed out behind `end`. */
  isLast: boolean;
}

/** Where an event looks for topics: so that a workspace of a thousand end users does not ask a thousand topics each time. */
function placeOf({ workspaceId, endUserId, taskId }: Scope): string {
  if (taskId !== null) return taskId;
  return endUserId === null ? workspaceId : placeOfEndUser(workspaceId, endUserId);
}

function placesOf({ workspaceId, endUserId, taskId }: TaskEvent): string[] {
  const places = [workspaceId, taskId];
  return endUserId === null ? places : [...places, placeOfEndUser(workspaceId, endUserId)];
}

function placeOfEndUser(workspaceId: string, endUserId: string): string {
  return `${workspaceId} ${endUserId}`;
}

function isIn(scope: Scope, event: TaskEvent): boolean {
  return reaches(scope, event) && (scope.taskId === null || event.taskId === scope.taskId);
}
