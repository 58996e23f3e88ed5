import { type TaskEvent } from '../core/events/task-event.js';
import { type Ending, type Outlet } from '../core/events/event-sink.js';
import { type Topic } from './topic.js';

/** How much may wait for a network that does not take it. */
export interface Buffering {
  maxEvents: number;
  maxBytes: number;
}

/** What a watcher needs of the feed. */
export interface WatcherHost {
  readonly buffering: Buffering;
  cursorAt(position: bigint): string;
  /** Reads and sends what the watcher has not seen, then lets it go live. */
  catchUp(watcher: Watcher): void;
  /** The watcher waits until its network has taken what was handed over. */
  waitForRoom(watcher: Watcher): void;
  left(watcher: Watcher): void;
}

/**
 * One subscription, and how far it has come.
 *
 *   catching up -> live <-> catching up
 *        |           |
 *        +-> waiting <+    the network does not take what was sent; nothing is kept for it but its position
 *   any -> over            by its end, by its client, or because it waited too long
 *
 * What is not live is read from the recent events or from Postgres, so a slow watcher costs no memory.
 */
export class Watcher {
  state: 'catching up' | 'live' | 'waiting' | 'over' = 'catching up';
  /** Sent since the network had last taken everything. */
  private untaken = 0;

  constructor(
    private readonly host: WatcherHost,
    readonly topic: Topic,
    readonly outlet: Outlet,
    /** Everything of the topic up to here was sent. */
    public position: bigint,
    /** The last event there is of a task that was settled when the watcher came. Null: the one that settles it is the last. */
    public readonly overAt: bigint | null,
  ) {}

  /** Whether one more event may be handed over. */
  hasRoom(): boolean {
    const { backlogBytes } = this.outlet;
    if (backlogBytes === 0) this.untaken = 0;
    const { maxEvents, maxBytes } = this.host.buffering;
    return this.untaken < maxEvents && backlogBytes < maxBytes;
  }

  /** Live events. What was seen already is dropped by its position. */
  take(events: readonly TaskEvent[], texts: readonly string[]): void {
    if (this.state === 'live') this.sendAll(events, texts);
  }

  /** Sends what it has not seen, until it is over or there is no room for more; then it waits. */
  sendAll(events: readonly TaskEvent[], texts: readonly string[]): void {
    const { state } = this;
    let next = 0;
    const sendSome = () => {
      for (; next < events.length && this.state === state; next += 1) {
        const event = events[next];
        if (event && event.position > this.position && !this.send(event, texts[next] ?? '')) return;
      }
    };
    while (next < events.length && this.state === state) {
      // What is sent together is taken only when all of it was handed over: the room is looked at again then.
      if (!this.hasRoom()) this.waitForRoom();
      else if (events.length === 1) sendSome();
      else this.outlet.together(sendSome);
    }
  }

  /** Sends the next event; false, and sends nothing, when there is no room for it. */
  private send(event: TaskEvent, text: string): boolean {
    if (!this.hasRoom()) return false;
    this.outlet.send(text);
    this.untaken += 1;
    this.position = event.position;
    const isLast = this.overAt === null ? event.settles : event.position >= this.overAt;
    if (isLast && this.topic.scope.taskId !== null) this.complete();
    return true;
  }

  goLive(): void {
    this.state = 'live';
    this.topic.goLive(this);
  }

  /** From live back to reading for itself. */
  readAgain(): void {
    this.topic.leaveLive(this);
    this.state = 'catching up';
    this.host.catchUp(this);
  }

  waitForRoom(): void {
    this.topic.leaveLive(this);
    this.state = 'waiting';
    this.host.waitForRoom(this);
  }

  complete(): void {
    if (this.leave()) this.outlet.complete();
  }

  /** Ends the connection that the watcher is on. */
  close(ending: Ending): void {
    if (this.leave()) this.outlet.close(ending, this.host.cursorAt(this.position));
  }

  /** The client has unsubscribed, or its connection is gone. False: it was over already. */
  leave(): boolean {
    if (this.state === 'over') return false;
    this.state = 'over';
    this.topic.leaveLive(this);
    this.host.left(this);
    return true;
  }
}
