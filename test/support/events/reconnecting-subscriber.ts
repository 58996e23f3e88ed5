import { setTimeout as pause } from 'node:timers/promises';
import { type SeededRandom } from '../../../src/sandbox/painting/seeded-random.js';
import {
  type StreamEnd,
  openSubscriptionStream,
  type EventSubscriptionStream,
  type SubscriptionTarget,
  type StreamTransport,
} from './streams.js';

/** Upper bound of a random delay, so that clients do not all reconnect at once. */
const RECONNECT_WITHIN_MS = 150;

interface SubscriberOptions {
  /** Instances to connect to. An instance may be down for a while. */
  urls: readonly [string, ...string[]];
  key: string;
  transport: StreamTransport;
  target: SubscriptionTarget;
  /** The cursor to start after. */
  after: string;
  random: SeededRandom;
}

/** A subscriber that remembers its last cursor. Whenever its stream ends, it resumes from there on a random instance. */
export class ReconnectingSubscriber {
  /** IDs of all events received over all connections. */
  readonly eventIds: string[] = [];
  /** How connections ended that the test did not cut. */
  readonly disconnects: StreamEnd[] = [];
  connectionCount = 0;
  private cursor: string;
  private stream: EventSubscriptionStream | null = null;
  private disconnectedByTest = false;
  private stopped = false;
  private readonly done: Promise<void>;

  constructor(readonly options: SubscriberOptions) {
    this.cursor = options.after;
    this.done = this.run();
  }

  /** Destroys the current socket. */
  cut(): void {
    this.disconnectedByTest = true;
    this.stream?.cut();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.cut();
    await this.done;
  }

  private async run(): Promise<void> {
    const { key, transport, target, random, urls } = this.options;
    while (!this.stopped) {
      const url = random.pick(urls);
      this.disconnectedByTest = false;
      this.connectionCount += 1;
      this.stream = openSubscriptionStream({
        ...{ url, key, transport, target, after: this.cursor },
        take: ({ id, cursor }) => {
          this.eventIds.push(id);
          this.cursor = cursor;
        },
      });
      const ending = await this.stream.ended;
      if (!this.disconnectedByTest) this.disconnects.push(ending);
      this.stream = null;
      if (!this.stopped) await pause(random.between(0, RECONNECT_WITHIN_MS));
    }
  }
}
