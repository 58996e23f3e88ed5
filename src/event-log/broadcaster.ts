import { type Logger } from 'pino';
import { TIMED_OUT, withTimeout } from '../core/primitives/async.js';
import { type EventCursorCodec } from '../core/events/event-cursor.js';
import { type TaskEvent } from '../core/events/task-event.js';
import { type EventSink } from '../core/events/event-sink.js';
import { type EventRepository, type EventScope } from '../db/events/event-repository.js';
import { CatchUp } from './catch-up.js';
import { type EventLog } from './event-log.js';
import { Topic, type TopicOptions } from './topic.js';
import { TopicBounds } from './topic-bounds.js';
import { Renderings } from './renderings.js';
import { type BufferLimits, Subscriber, type SubscriberHost } from './subscriber.js';

/** Limit for the final push at shutdown. The sockets must still be closed properly, so that clients resume on another instance. */
const FLUSH_TIMEOUT_MS = 1_500;
/** How often blocked subscribers are checked. */
const DRAIN_CHECK_INTERVAL_MS = 50;

interface BroadcasterDependencies {
  eventLog: EventLog;
  events: EventRepository;
  bufferLimits: BufferLimits;
  cursors: EventCursorCodec;
  /** A subscriber whose connection accepts no data for this long is closed. */
  stallMs: number;
  log: Logger;
}

/** Where a subscription starts. */
export interface SubscriptionStart {
  /** The subscriber has already seen every event up to and including this position. */
  position: bigint;
  /** An event to send first, whatever its position. Null to send none. */
  initialEvent: TaskEvent | null;
  /** Position of the last event of a settled task. Null while more events are expected, and for a whole workspace. */
  settledPosition: bigint | null;
}

/**
 * Delivers events to all subscribers of this instance. Each event is read from the log once and routed to every topic of
 * its workspace, end user and task. The load on PostgreSQL grows with the number of instances, not of subscribers.
 */
export class Broadcaster implements SubscriberHost {
  readonly bufferLimits: BufferLimits;
  readonly log: Logger;
  private readonly topics = new Map<string, Topic>();
  private readonly topicBounds = new TopicBounds();
  private readonly topicsByRoutingKey = new Map<string, Set<Topic>>();
  private readonly missedEvents: CatchUp;
  private readonly renderings = new Renderings();
  private readonly blockedSubscribers = new Map<Subscriber, { since: number; acceptedBytes: number }>();
  private drainCheckTimer: NodeJS.Timeout | null = null;

  constructor(private readonly deps: BroadcasterDependencies) {
    this.bufferLimits = deps.bufferLimits;
    this.log = deps.log;
    this.missedEvents = new CatchUp(deps);
  }

  /**
   * Sends every event after `from` to `sink`, once and in order. The caller must call `unsubscribe` on the result. Throws
   * TooManyConnections.
   */
  subscribe(options: TopicOptions, from: SubscriptionStart, sink: EventSink): Subscriber {
    const topic = this.topics.get(options.key) ?? this.createTopic(options);
    const subscriber = new Subscriber(this, topic, { sink, ...from });
    topic.subscribers.add(subscriber);
    if (from.initialEvent) void this.sendInitialEvent(subscriber, from.initialEvent);
    else this.catchUp(subscriber);
    return subscriber;
  }

  /** Pushes all committed events before the sockets close. Gives up after 1.5 s, because PostgreSQL may be down. */
  async flush(): Promise<void> {
    if ((await withTimeout(this.flushTopics(), FLUSH_TIMEOUT_MS)) === TIMED_OUT)
      this.deps.log.warn(
        'could not push the last events before shutdown; clients receive them when they reconnect',
      );
  }

  private async flushTopics(): Promise<void> {
    await this.deps.eventLog.flush();
    await Promise.all([...this.topics.values()].map((topic) => topic.whenIdle()));
  }

  catchUp(subscriber: Subscriber): void {
    void this.missedEvents.send(subscriber);
  }

  waitForDrain(subscriber: Subscriber): void {
    this.blockedSubscribers.set(subscriber, {
      since: performance.now(),
      acceptedBytes: subscriber.sink.acceptedBytes,
    });
    this.drainCheckTimer ??= setInterval(() => this.checkDrained(), DRAIN_CHECK_INTERVAL_MS);
  }

  cursorAt(position: bigint): string {
    return this.deps.cursors.encode(position);
  }

  removeSubscriber(subscriber: Subscriber): void {
    const { topic } = subscriber;
    this.blockedSubscribers.delete(subscriber);
    topic.subscribers.delete(subscriber);
    if (topic.subscribers.size > 0) return;
    topic.end();
    this.topics.delete(topic.key);
    this.topicBounds.remove(topic);
    const routingKey = routingKeyOf(topic.scope);
    const sameKeyTopics = this.topicsByRoutingKey.get(routingKey);
    sameKeyTopics?.delete(topic);
    if (sameKeyTopics?.size === 0) this.topicsByRoutingKey.delete(routingKey);
    if (this.topics.size === 0) this.deps.eventLog.stopReading();
  }

  private createTopic(options: TopicOptions): Topic {
    const topic = new Topic(options, this.renderings, this.deps.log);
    this.topicBounds.add(topic);
    if (this.topics.size === 0) this.deps.eventLog.startReading((batch) => this.route(batch));
    this.topics.set(options.key, topic);
    const routingKey = routingKeyOf(options.scope);
    this.topicsByRoutingKey.set(
      routingKey,
      (this.topicsByRoutingKey.get(routingKey) ?? new Set()).add(topic),
    );
    return topic;
  }

  private route(batch: readonly TaskEvent[]): void {
    const eventsByTopic = new Map<Topic, TaskEvent[]>();
    for (const event of batch) {
      for (const routingKey of routingKeysOf(event)) {
        for (const topic of this.topicsByRoutingKey.get(routingKey) ?? []) {
          if (!matchesOrCuts(topic, event)) continue;
          const events = eventsByTopic.get(topic);
          if (events) events.push(event);
          else eventsByTopic.set(topic, [event]);
        }
      }
    }
    for (const [topic, events] of eventsByTopic) topic.broadcast(events);
  }

  private async sendInitialEvent(subscriber: Subscriber, event: TaskEvent): Promise<void> {
    const send = (_events: readonly TaskEvent[], [text = '']: readonly string[]) => {
      if (subscriber.state !== 'closed') subscriber.runOrCut(() => subscriber.sink.send(text));
    };
    await subscriber.topic.render([event], send, subscriber).catch((error: unknown) => subscriber.cut(error));
    if (subscriber.state !== 'closed') this.catchUp(subscriber);
  }

  private checkDrained(): void {
    const now = performance.now();
    for (const [subscriber, wait] of this.blockedSubscribers) {
      subscriber.runOrCut(() => {
        const { bufferedBytes, acceptedBytes } = subscriber.sink;
        if (bufferedBytes === 0) {
          this.blockedSubscribers.delete(subscriber);
          subscriber.fallBack();
        } else if (acceptedBytes > wait.acceptedBytes) {
          this.blockedSubscribers.set(subscriber, { since: now, acceptedBytes });
        } else if (now - wait.since > this.deps.stallMs) {
          subscriber.close('too-slow');
        }
      });
    }
    if (this.blockedSubscribers.size > 0 || !this.drainCheckTimer) return;
    clearInterval(this.drainCheckTimer);
    this.drainCheckTimer = null;
  }
}

/** A filter that throws cuts its own subscribers, and keeps the event from no others. */
function matchesOrCuts(topic: Topic, event: TaskEvent): boolean {
  try {
    return topic.matches(event);
  } catch (error) {
    topic.cutAll(error);
    return false;
  }
}

/** Topics are indexed by this key, so that an event does not have to be matched against the topics of every end user. */
function routingKeyOf({ workspaceId, endUserId, taskId }: EventScope): string {
  if (taskId !== null) return taskId;
  return endUserId === null ? workspaceId : endUserRoutingKey(workspaceId, endUserId);
}

function routingKeysOf({ workspaceId, endUserId, taskId }: TaskEvent): string[] {
  const keys = [workspaceId, taskId];
  return endUserId === null ? keys : [...keys, endUserRoutingKey(workspaceId, endUserId)];
}

function endUserRoutingKey(workspaceId: string, endUserId: string): string {
  return `${workspaceId} ${endUserId}`;
}
