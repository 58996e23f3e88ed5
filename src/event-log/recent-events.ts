import { singleFlight } from '../core/primitives/async.js';
import { type TaskEvent } from '../core/events/task-event.js';
import { type EventRepository } from '../db/events/event-repository.js';

/** At 200 events per second these are the last 40 seconds, in about 8 MB. Reconnect storms are served from this buffer. */
const MAX_RECENT_EVENTS = 8_192;

/**
 * The most recent events of the log, for all workspaces and without gaps. Empty while there are no subscribers. When
 * subscribers resume from a cursor slightly older than the buffer, one query extends it backwards for all of them.
 */
export class RecentEvents {
  private events: TaskEvent[] = [];
  /** The position just before the first buffered event. */
  private startPosition = 0n;
  private readonly extendBack = singleFlight(() => this.fillBackwards());

  constructor(private readonly repository: EventRepository) {}

  /** Position of the last buffered event. For an empty buffer, the position just before the next event. */
  get endPosition(): bigint {
    return this.startPosition + BigInt(this.events.length);
  }

  /** Empties the buffer. The next event must be the one after `position`. */
  reset(position: bigint): void {
    this.events = [];
    this.startPosition = position;
  }

  /** Adds the events that follow, and drops the oldest when there are too many. */
  append(batch: readonly TaskEvent[]): void {
    this.events.push(...batch);
    // Trimming copies the whole buffer, so do it rarely.
    if (this.events.length > 2 * MAX_RECENT_EVENTS) this.trim();
  }

  /** Up to `limit` events after `position`. Null when the first of them is no longer buffered. */
  eventsAfter(position: bigint, limit: number): TaskEvent[] | null {
    if (position < this.startPosition) return null;
    const start = Number(position - this.startPosition);
    return this.events.slice(start, start + limit);
  }

  /** Whether `position` is close enough for the buffer to be extended back to it. */
  canExtendTo(position: bigint): boolean {
    return this.endPosition - position <= MAX_RECENT_EVENTS;
  }

  /** Extends the buffer backwards until it covers `position`, unless that is too far back. */
  async extendBackTo(position: bigint): Promise<void> {
    while (position < this.startPosition && this.canExtendTo(position)) {
      await this.extendBack();
    }
  }

  /** Always fills the buffer completely: in a reconnect storm, other subscribers need slightly older events. */
  private async fillBackwards(): Promise<void> {
    const { startPosition } = this;
    const from = this.endPosition - BigInt(MAX_RECENT_EVENTS);
    const newStart = from > 0n ? from : 0n;
    const found = await this.repository.readAfter(newStart, Number(startPosition - newStart));
    if (this.startPosition !== startPosition) return; // reset in the meantime
    this.events = [...found, ...this.events];
    this.startPosition = newStart;
  }

  private trim(): void {
    const excess = this.events.length - MAX_RECENT_EVENTS;
    this.events = this.events.slice(excess);
    this.startPosition += BigInt(excess);
  }
}
