import DataLoader from 'dataloader';
import { type Caller, rightsOf } from '../../core/access/caller.js';
import { type EventCursors } from '../../core/events/event-cursor.js';
import { BadRequest, CursorExpired, CursorInvalid, NotFound } from '../../core/errors.js';
import { type TaskEvent } from '../../core/events/task-event.js';
import { isId } from '../../core/primitives/ids.js';
import { type Outlet } from '../../core/events/event-sink.js';
import { type Task } from '../../core/tasks/task.js';
import { reaches, reachOf, wholeWorkspace } from '../../core/access/visibility.js';
import {
  type EventFilter,
  type Events,
  type Scope,
  type WatchPoint,
} from '../../db/events/event-repository.js';
import { type Feed, type Start } from '../../event-log/broadcaster.js';
import { type EventLog } from '../../event-log/event-log.js';

export type { EventFilter };

/** Tasks looked up by one statement when many watchers come at once. */
const LOOKED_UP_AT_ONCE = 500;
/** A filter is compared with every event of the workspace. */
const MAX_FILTER_TASKS = 100;
const DAY_MS = 24 * 3_600 * 1_000;
/** How long the place up to which cursors have expired is believed: they expire by days. */
const EXPIRY_CACHE_MS = 60_000;

/** What a caller may watch, checked, and from where; `Watching.open` starts it. */
export interface Watch {
  scope: Scope;
  filter: EventFilter;
  start: Start;
  /** The log's last position when it was checked. */
  head: bigint;
  /** Whose eyes see it: watches with the same rights and scope show the same. */
  rights: string;
}

/** How each event of a watch is shown. */
export interface Rendering {
  /** Equal where the same event looks the same to callers of the same rights. */
  key: string;
  /** When it throws, the event is rendered again a moment later. */
  render: (event: TaskEvent) => Promise<string>;
}

/** Pushes events to those who watch. */
export class Watching {
  private readonly watchPoints = new DataLoader<WatchedTask, WatchPoint | null, string>(
    (tasks) => this.findWatchPoints(tasks),
    // Of all sockets that have something to read at this moment, not of one.
    { cache: false, maxBatchSize: LOOKED_UP_AT_ONCE, batchScheduleFn: (run) => void setImmediate(run) },
  );
  private expired = { position: Promise.resolve(0n), until: 0 };

  constructor(
    private readonly events: Events,
    private readonly eventLog: EventLog,
    private readonly feed: Feed,
    private readonly cursors: EventCursors,
    /** How far back a cursor may lie. */
    private readonly replayDays: number,
  ) {}

  /**
   * One task's events, each once and in order, until the task has ended and its images are stored or lost; then it is
   * over. After `after`, or else from now, with the task's latest event first. Of a task that is over already, what came
   * later all the same, such as a late result. Throws NotFound, CursorInvalid or CursorExpired.
   */
  async task(caller: Caller, taskId: string, after: string | null): Promise<Watch> {
    const position = after === null ? null : this.cursors.decode(after);
    const { workspaceId } = caller;
    const point = isId(taskId) ? await this.watchPoints.load({ workspaceId, taskId }) : null;
    if (!point || !reaches(caller, point))
      throw new NotFound('There is no task with this id in your workspace.');
    const { head, latest } = point;
    const overAt = point.settledAt === null ? null : (latest?.position ?? point.settledAt);
    const scope = { ...reachOf(caller), taskId: point.taskId };
    const watch = { scope, filter: {}, head, rights: rightsOf(caller) };
    if (position === null) return { ...watch, start: { position: head, first: latest, overAt } };
    await this.checkPlace(position, head);
    const isUpToDate = (latest?.position ?? 0n) <= position;
    return { ...watch, start: { position: isUpToDate ? head : position, first: null, overAt } };
  }

  /**
   * The events within the caller's reach that the filter names, each once and in order, without end: after `after`, or
   * from now. Throws BadRequest, CursorInvalid or CursorExpired.
   */
  async workspace(caller: Caller, after: string | null, filter: EventFilter): Promise<Watch> {
    if ((filter.taskIds?.length ?? 0) > MAX_FILTER_TASKS) {
      throw new BadRequest(
        `\`taskIds\` has more than ${MAX_FILTER_TASKS} ids. Watch without it, and leave out what you do not need.`,
      );
    }
    const position = after === null ? this.eventLog.head : this.cursors.decode(after);
    if (after !== null) await this.checkPlace(position, this.eventLog.head);
    const scope = { ...reachOf(caller), taskId: null };
    const start = { position, first: null, overAt: null };
    return { scope, filter, start, head: this.eventLog.head, rights: rightsOf(caller) };
  }

  /**
   * Sends what the watch promises to the outlet. Who watches the same, and is shown the same, shares the work. Returns the
   * way to leave.
   */
  open({ scope, filter, start, rights }: Watch, { key, render }: Rendering, outlet: Outlet): () => void {
    const topicKey = JSON.stringify([rights, scope, filter, key]);
    const watcher = this.feed.watch(
      { key: topicKey, scope, matches: matcher(filter), render },
      start,
      outlet,
    );
    return () => void watcher.leave();
  }

  /**
   * Calls `onSettled` once nothing more is expected of a task that was not settled when it was read. Returns the way to
   * leave. It begins where the task was read, so Postgres is not asked for each of many who wait.
   */
  untilSettled({ id, workspaceId, logPosition }: Task, onSettled: () => void): () => void {
    const scope = { ...wholeWorkspace(workspaceId), taskId: id };
    const render = () => Promise.resolve('');
    const topic = { key: `settled ${id}`, scope, matches: (event: TaskEvent) => event.settles, render };
    const start = { position: BigInt(logPosition), first: null, overAt: null };
    const watcher = this.feed.watch(topic, start, doorbell(onSettled));
    return () => void watcher.leave();
  }

  /** Pushes everything that is known by now; for the last moment before the connections are closed. */
  async flush(): Promise<void> {
    await this.feed.flush();
  }

  cursorOf(event: TaskEvent): string {
    return this.cursors.encode(event.position);
  }

  /** Throws for a place that this log does not have, or that lies too far back. */
  private async checkPlace(position: bigint, knownHead: bigint): Promise<void> {
    if (position > knownHead && position > (await this.eventLog.refreshHead())) throw new CursorInvalid();
    if (position < (await this.lastExpired())) throw new CursorExpired(this.replayDays);
  }

  /** The position of the last event that is too old; asked for once for all who come at the same time. */
  private lastExpired(): Promise<bigint> {
    const now = Date.now();
    if (this.expired.until < now) {
      const position = this.events.lastBefore(new Date(now - this.replayDays * DAY_MS));
      this.expired = { position, until: now + EXPIRY_CACHE_MS };
      position.catch(() => (this.expired.until = 0));
    }
    return this.expired.position;
  }

  private async findWatchPoints(tasks: readonly WatchedTask[]): Promise<(WatchPoint | null)[]> {
    const found = await this.events.findWatchPoints(tasks);
    const byTask = new Map(found.map((point) => [keyOf(point), point]));
    return tasks.map((task) => byTask.get(keyOf(task)) ?? null);
  }
}

/** An outlet that takes everything at once and tells only the end. */
function doorbell(onComplete: () => void): Outlet {
  const nothing = () => undefined;
  return { backlogBytes: 0, send: nothing, together: (work) => work(), complete: onComplete, close: nothing };
}

interface WatchedTask {
  workspaceId: string;
  taskId: string;
}

/** With the workspace: another one's request for the same id is answered by the same statement. */
function keyOf({ workspaceId, taskId }: WatchedTask): string {
  return `${workspaceId} ${taskId.toLowerCase()}`;
}

function matcher({ types, taskIds }: EventFilter): (event: TaskEvent) => boolean {
  const wantedTypes = types?.length ? new Set<string>(types) : null;
  const wantedTasks = taskIds?.length ? new Set(taskIds.map((id) => id.toLowerCase())) : null;
  return ({ type, taskId }) => (wantedTypes?.has(type) ?? true) && (wantedTasks?.has(taskId) ?? true);
}
