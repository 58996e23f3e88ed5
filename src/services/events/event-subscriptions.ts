import DataLoader from 'dataloader';
import { databaseTimeMs, DAY_MS } from '../../core/primitives/clock.js';
import { type Caller, permissionsKey } from '../../core/access/caller.js';
import { BadRequest, CursorExpired, CursorInvalid, NotFound } from '../../core/errors.js';
import { type TaskEvent, type TaskKey } from '../../core/events/task-event.js';
import { cachedFor } from '../../core/primitives/async.js';
import { isId } from '../../core/primitives/ids.js';
import { type EventSink } from '../../core/events/event-sink.js';
import { type Task } from '../../core/tasks/task.js';
import { isVisible, visibilityOf, workspaceVisibility } from '../../core/access/visibility.js';
import { type EventFilter, type EventScope, type TaskLogSnapshot } from '../../db/events/event-repository.js';
import { type Broadcaster, type SubscriptionStart } from '../../event-log/broadcaster.js';
import { type Dependencies } from '../dependencies.js';

export type { EventFilter };

/** Tasks that one statement looks up when many subscribers arrive at the same time. */
const TASKS_PER_LOOKUP = 500;
/** Limited because a filter is compared with every event of the workspace. */
const MAX_FILTER_TASK_IDS = 100;
/** How long the position up to which cursors have expired is cached. Cursors expire by days, so it changes slowly. */
const EXPIRY_CACHE_MS = 60_000;

/** A checked subscription: what it covers and where it starts. `EventSubscriptions.start` starts it. */
export interface EventSubscription {
  scope: EventScope;
  filter: EventFilter;
  start: SubscriptionStart;
  /** The log's last position when the subscription was checked. */
  head: bigint;
  /** Equal for callers with equal permissions. With the same scope, they see the same. */
  permissionsKey: string;
}

/** How events are rendered for a subscriber. */
export interface Rendering {
  /** Equal keys mean that callers with equal permissions get the same text for the same event. */
  cacheKey: string;
  /** Renders one event. When it throws, the event is rendered again after a moment. */
  render: (event: TaskEvent) => Promise<string>;
  /** Fields of a rendered event, about. */
  cost: number;
}

interface EventSubscriptionsDependencies extends Pick<Dependencies, 'cursors' | 'eventLog' | 'events'> {
  broadcaster: Broadcaster;
  /** Maximum age of a cursor in days. */
  replayDays: number;
}

/** Pushes events to subscribers. */
export class EventSubscriptions {
  private readonly taskStateLoader = new DataLoader<TaskKey, TaskLogSnapshot | null, string>(
    (tasks) => this.loadTaskStates(tasks),
    // setImmediate collects the lookups of all sockets that are readable at this moment, not only of one.
    { cache: false, maxBatchSize: TASKS_PER_LOOKUP, batchScheduleFn: (run) => void setImmediate(run) },
  );
  /** Position of the last event that is too old. */
  private readonly lastExpiredPosition = cachedFor(EXPIRY_CACHE_MS, () =>
    this.deps.events.lastPositionBefore(new Date(databaseTimeMs() - this.deps.replayDays * DAY_MS)),
  );

  constructor(private readonly deps: EventSubscriptionsDependencies) {}

  /**
   * Checks a subscription to one task. It delivers each event once and in order, and completes when the task is
   * settled. It starts after `after`, or else with the task's latest event. For a task that is already settled it
   * delivers what followed, such as a late result. Throws NotFound, CursorInvalid or CursorExpired.
   */
  async subscribeToTask(caller: Caller, taskId: string, after: string | null): Promise<EventSubscription> {
    const position = after === null ? null : this.deps.cursors.decode(after);
    const { workspaceId } = caller;
    const taskState = isId(taskId) ? await this.taskStateLoader.load({ workspaceId, taskId }) : null;
    if (!taskState || !isVisible(caller, taskState))
      throw new NotFound('No task with this ID in your workspace.');
    const { headPosition: head, latestEvent } = taskState;
    const settledPosition =
      taskState.settledPosition === null ? null : (latestEvent?.position ?? taskState.settledPosition);
    const scope = { ...visibilityOf(caller), taskId: taskState.taskId };
    const subscription = { scope, filter: {}, head, permissionsKey: permissionsKey(caller) };
    if (position === null) {
      return { ...subscription, start: { position: head, initialEvent: latestEvent, settledPosition } };
    }
    await this.checkPosition(position, head);
    const isUpToDate = (latestEvent?.position ?? 0n) <= position;
    const start = { position: isUpToDate ? head : position, initialEvent: null, settledPosition };
    return { ...subscription, start };
  }

  /**
   * Checks a subscription to all events that are visible to the caller and match the filter. It delivers each event
   * once and in order, after `after` or from now, and never completes. Throws BadRequest, CursorInvalid or
   * CursorExpired.
   */
  async subscribeToWorkspace(
    caller: Caller,
    after: string | null,
    filter: EventFilter,
  ): Promise<EventSubscription> {
    if ((filter.taskIds?.length ?? 0) > MAX_FILTER_TASK_IDS) {
      throw new BadRequest(
        `\`taskIds\` has ${filter.taskIds?.length} IDs. Use at most ${MAX_FILTER_TASK_IDS}, or subscribe without it and filter the events yourself.`,
      );
    }
    const position = after === null ? this.deps.eventLog.head : this.deps.cursors.decode(after);
    if (after !== null) await this.checkPosition(position, this.deps.eventLog.head);
    const scope = { ...visibilityOf(caller), taskId: null };
    const start = { position, initialEvent: null, settledPosition: null };
    return { scope, filter, start, head: this.deps.eventLog.head, permissionsKey: permissionsKey(caller) };
  }

  /**
   * Starts a subscription that was checked, and sends its events to the sink. Subscribers with equal subscriptions
   * and renderings share the work. Returns a function that unsubscribes.
   */
  start(subscription: EventSubscription, { cacheKey, render, cost }: Rendering, sink: EventSink): () => void {
    const { scope, filter, start } = subscription;
    const topicKey = JSON.stringify([subscription.permissionsKey, scope, filter, cacheKey]);
    const subscriber = this.deps.broadcaster.subscribe(
      { key: topicKey, scope, matches: createMatcher(filter), render, renderingCost: cost },
      start,
      sink,
    );
    return () => void subscriber.unsubscribe();
  }

  /**
   * Calls back once a task is settled that was not settled when it was read. It starts at the position at which the
   * task was read, so waiting needs no query. Returns a function that unsubscribes.
   */
  onSettled({ id, workspaceId, eventLogPosition }: Task, onComplete: () => void): () => void {
    const scope = { ...workspaceVisibility(workspaceId), taskId: id };
    const render = () => Promise.resolve('');
    const matches = (event: TaskEvent) => event.settlesTask;
    const topic = { key: `settled ${id}`, scope, matches, render, renderingCost: 1 };
    const start = { position: BigInt(eventLogPosition), initialEvent: null, settledPosition: null };
    const subscriber = this.deps.broadcaster.subscribe(topic, start, completionSink(onComplete));
    return () => void subscriber.unsubscribe();
  }

  /** Pushes all events that are known by now. Called just before the connections are closed. */
  async flush(): Promise<void> {
    await this.deps.broadcaster.flush();
  }

  cursorOf(event: TaskEvent): string {
    return this.deps.cursors.encode(event.position);
  }

  /** Throws CursorInvalid for a position after the log's end, and CursorExpired for one that is too old. */
  private async checkPosition(position: bigint, knownHead: bigint): Promise<void> {
    if (position > knownHead && position > (await this.deps.eventLog.refreshHead()))
      throw new CursorInvalid();
    if (position < (await this.lastExpiredPosition())) throw new CursorExpired(this.deps.replayDays);
  }

  private async loadTaskStates(tasks: readonly TaskKey[]): Promise<(TaskLogSnapshot | null)[]> {
    const found = await this.deps.events.findTaskLogSnapshots(tasks);
    const byTask = new Map(found.map((snapshot) => [taskKeyOf(snapshot), snapshot]));
    return tasks.map((task) => byTask.get(taskKeyOf(task)) ?? null);
  }
}

/** A sink that ignores events and only reports completion. */
function completionSink(onComplete: () => void): EventSink {
  const noop = () => undefined;
  return {
    bufferedBytes: 0,
    acceptedBytes: 0,
    send: noop,
    batch: (work) => work(),
    complete: onComplete,
    close: noop,
  };
}

/** Includes the workspace, because one statement may look up the same ID for callers of different workspaces. */
function taskKeyOf({ workspaceId, taskId }: TaskKey): string {
  return `${workspaceId} ${taskId.toLowerCase()}`;
}

function createMatcher({ types, taskIds }: EventFilter): (event: TaskEvent) => boolean {
  const wantedTypes = types?.length ? new Set<string>(types) : null;
  const wantedTasks = taskIds?.length ? new Set(taskIds.map((id) => id.toLowerCase())) : null;
  return ({ type, taskId }) => (wantedTypes?.has(type) ?? true) && (wantedTasks?.has(taskId) ?? true);
}
