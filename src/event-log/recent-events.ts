import { type TaskEvent } from '../core/events/task-event.js';
import { type Events } from '../db/events/event-repository.js';

/** Events kept: at 200 a second the last 40 seconds, in about 8 MB. A reconnect storm is served from here. */
export const RECENT_EVENTS = 8_192;

/**
 * The last events of the log, of all workspaces, without gaps from `start` on. It is empty when nobody watches. Who comes
 * back with a cursor that lies a little before it lets it grow backwards, by one statement for all who come at that time.
 */
export class RecentEvents {
  private events: TaskEvent[] = [];
  /** The position before the first event that is kept. */
  private before = 0n;
  private growing: Promise<void> | null = null;

  constructor(private readonly rows: Events) {}

  /** The position of the last event, or the place where the first is expected. */
  get end(): bigint {
    return this.before + BigInt(this.events.length);
  }

  /** Forgets everything; the next event is the one behind `position`. */
  reset(position: bigint): void {
    this.events = [];
    this.before = position;
  }

  /** Takes the events that follow; forgets the oldest when there are too many. */
  append(batch: readonly TaskEvent[]): void {
    this.events.push(...batch);
    // Cut seldom: each cut moves everything that is kept.
    if (this.events.length > 2 * RECENT_EVENTS) this.cut();
  }

  /** Up to `limit` events behind `position`; null when the first of them is not kept any more. */
  after(position: bigint, limit: number): TaskEvent[] | null {
    if (position < this.before) return null;
    const start = Number(position - this.before);
    return this.events.slice(start, start + limit);
  }

  /** Whether growing back to `position` is worth it. */
  isNear(position: bigint): boolean {
    return this.end - position <= RECENT_EVENTS;
  }

  /** Grows backwards, so that `after(position)` answers, as long as that is near. */
  async growTo(position: bigint): Promise<void> {
    while (position < this.before && this.isNear(position)) {
      this.growing ??= this.grow().finally(() => {
        this.growing = null;
      });
      await this.growing;
    }
  }

  /** By all that is near, not by what one watcher needs: the others of the storm need a little more. */
  private async grow(): Promise<void> {
    const { before } = this;
    const from = this.end - BigInt(RECENT_EVENTS);
    const start = from > 0n ? from : 0n;
    const found = await this.rows.readAfter(start, Number(before - start));
    if (this.before !== before) return; // reset meanwhile
    this.events = [...found, ...this.events];
    this.before = start;
  }

  private cut(): void {
    const surplus = this.events.length - RECENT_EVENTS;
    this.events = this.events.slice(surplus);
    this.before += BigInt(surplus);
  }
}
