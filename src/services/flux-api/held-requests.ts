import { type Caller } from '../../core/access/caller.js';
import { type Task } from '../../core/tasks/task.js';
import { type Connections } from '../limits/connection-slots.js';
import { isSettled } from './flux-reply.js';
import { type Watching } from '../events/event-subscriptions.js';

/** Why a request is held no longer. */
export type HoldEnd = 'settled' | 'timed-out' | 'going-away' | 'key-revoked' | 'left';

/**
 * The requests that are held until their task is settled. They hear of it from the event stream: nobody polls, and
 * Postgres is not asked while they wait.
 */
export class Waiting {
  private readonly holds = new Set<Hold>();
  private isOver = false;

  constructor(
    private readonly connections: Connections,
    private readonly watching: Watching,
    /** How long a request is held at most. */
    private readonly maxMs: number,
  ) {}

  /**
   * Takes a place for a request, before its task is written: a refusal after that would have the caller ask, and pay,
   * again. Throws TooManyWatchers. Whoever takes one ends it.
   */
  async hold(caller: Caller): Promise<Hold> {
    const hold = new Hold(
      (task) => this.watch(hold, task),
      () => this.holds.delete(hold),
    );
    const { leave, letIn } = this.connections.open(caller, () => hold.finish('key-revoked'));
    hold.onEnd(leave);
    await letIn;
    this.holds.add(hold);
    return hold;
  }

  /** Lets those know whose task is settled by now, and ends the others. */
  async stop(): Promise<void> {
    this.isOver = true;
    await this.watching.flush();
    for (const hold of [...this.holds]) hold.finish('going-away');
  }

  private watch(hold: Hold, task: Task): void {
    if (isSettled(task)) return hold.finish('settled');
    if (this.isOver) return hold.finish('going-away');
    const timer = setTimeout(() => hold.finish('timed-out'), this.maxMs);
    hold.onEnd(() => clearTimeout(timer));
    hold.onEnd(this.watching.untilSettled(task, () => hold.finish('settled')));
  }
}

/**
 * One request that is held.
 *
 *   entered -> waiting for its task -> over
 *      +--------------------------------^   its client has left, its key was revoked, or it was refused
 */
export class Hold {
  /** Resolves once, with why it is over. */
  readonly ended: Promise<HoldEnd>;
  private readonly releases: (() => void)[];
  private resolve: (end: HoldEnd) => void = () => undefined;
  private isOver = false;

  constructor(
    private readonly watch: (task: Task) => void,
    release: () => void,
  ) {
    this.releases = [release];
    this.ended = new Promise((resolve) => (this.resolve = resolve));
  }

  /** Waits for the task. */
  settled(task: Task): Promise<HoldEnd> {
    if (!this.isOver) this.watch(task);
    return this.ended;
  }

  /** Done when it is over; at once when it is. */
  onEnd(release: () => void): void {
    if (this.isOver) release();
    else this.releases.push(release);
  }

  /** The first end counts. */
  finish(end: HoldEnd): void {
    if (this.isOver) return;
    this.isOver = true;
    this.releases.forEach((release) => release());
    this.resolve(end);
  }
}
