import { setTimeout as pause } from 'node:timers/promises';
import { type SeededRandom } from '../../../src/sandbox/painting/seeded-random.js';
import { type Ending, openStream, type Stream, type Target, type Transport } from './streams.js';

/** A client comes back soon, and not all at the same time. */
const COMES_BACK_WITHIN_MS = 150;

interface FollowerOptions {
  /** Where instances listen, or will again. */
  urls: readonly [string, ...string[]];
  key: string;
  transport: Transport;
  target: Target;
  /** Where it begins. */
  after: string;
  random: SeededRandom;
}

/** A watcher that remembers the last cursor and comes back with it after whatever ended its stream, to any instance. */
export class Follower {
  /** The ids of all events that came, over all connections. */
  readonly ids: string[] = [];
  /** How its connections ended, when it was not its own doing. */
  readonly partings: Ending[] = [];
  connections = 0;
  private cursor: string;
  private stream: Stream | null = null;
  private wasCut = false;
  private stopped = false;
  private readonly done: Promise<void>;

  constructor(readonly options: FollowerOptions) {
    this.cursor = options.after;
    this.done = this.follow();
  }

  /** Destroys the socket it has at the moment. */
  cut(): void {
    this.wasCut = true;
    this.stream?.cut();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    this.cut();
    await this.done;
  }

  private async follow(): Promise<void> {
    const { key, transport, target, random, urls } = this.options;
    while (!this.stopped) {
      const url = random.pick(urls);
      this.wasCut = false;
      this.connections += 1;
      this.stream = openStream({
        ...{ url, key, transport, target, after: this.cursor },
        take: ({ id, cursor }) => {
          this.ids.push(id);
          this.cursor = cursor;
        },
      });
      const ending = await this.stream.ended;
      if (!this.wasCut) this.partings.push(ending);
      this.stream = null;
      if (!this.stopped) await pause(random.between(0, COMES_BACK_WITHIN_MS));
    }
  }
}
