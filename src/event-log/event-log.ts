import { type Logger } from 'pino';
import { type TaskEvent } from '../core/events/task-event.js';
import { type Events } from '../db/events/event-repository.js';
import { Listener } from '../db/postgres/listener.js';
import { RecentEvents } from './recent-events.js';

/** Must be the channel that the SQL function seal_events() notifies. */
const CHANNEL = 'darkroom_events';
/** Events sealed by one statement, and read by one. Sealing 1,000 takes about 10 ms. */
const SEAL_BATCH = 1_000;
const READ_BATCH = 500;
/** Another session is sealing: it may have looked before our commit, so ask again after about one sealing. */
const BUSY_RETRY_MS = 3;
/**
 * Events come faster than they can be sealed one by one: then they are gathered for a moment, because each sealing is a
 * commit that those who write wait behind. A stream of 200 a second is sealed one by one.
 */
const MANY_EVENTS = 4;
const GATHER_MS = 10;
/** The nets: for events whose writer died before it asked for sealing, and for notifications that were lost. */
const SEAL_NET_MS = 500;
const HEAD_NET_MS = 2_000;
const READ_RETRY_MS = 100;

export type EventReader = (batch: readonly TaskEvent[]) => void;

/**
 * The sealed log, seen from one instance. Writers call `sealSoon` after a commit; sealed events are read once, by
 * position, and handed to the one reader. While there is none, nothing is read.
 *
 *   stopped -> start() -> running -> stop() -> stopped
 */
export class EventLog {
  /** What was handed out last: for watchers that come back. */
  readonly recent: RecentEvents;
  private readonly listener: Listener;
  private reader: EventReader | null = null;
  private timers: NodeJS.Timeout[] = [];
  private running = false;
  private sealWanted = false;
  private sealing: Promise<void> | null = null;
  private reading: Promise<void> | null = null;
  private asking: Promise<bigint> | null = null;
  /** The last position known to be sealed. */
  private knownHead = 0n;

  constructor(
    private readonly events: Events,
    url: string,
    private readonly log: Logger,
  ) {
    this.recent = new RecentEvents(events);
    this.listener = new Listener({
      url,
      channel: CHANNEL,
      log,
      onNotify: (position) => this.advance(BigInt(position)),
      onListening: () => void this.askHead(),
    });
  }

  async start(): Promise<void> {
    this.running = true;
    this.knownHead = await this.events.head();
    await this.listener.start();
    this.timers = [
      setInterval(() => this.sealSoon(), SEAL_NET_MS),
      setInterval(() => void this.askHead(), HEAD_NET_MS),
    ];
    this.sealSoon();
  }

  /** Seals what has been committed so far, then stops. */
  async stop(): Promise<void> {
    this.timers.forEach((timer) => clearInterval(timer));
    await this.seal();
    this.running = false;
    await this.listener.close();
    await this.reading;
  }

  /** Asks for sealing. Returns at once; calls that come while one is under way are answered by one more. */
  sealSoon(): void {
    void this.seal();
  }

  /** The position of the last event that this instance knows to be sealed. */
  get head(): bigint {
    return this.knownHead;
  }

  /** Asks Postgres for the head: another instance may have sealed what we were not told of yet. */
  async refreshHead(): Promise<bigint> {
    this.asking ??= this.events.head().finally(() => {
      this.asking = null;
    });
    this.advance(await this.asking);
    return this.knownHead;
  }

  /** From now on hands every event behind `head` to `reader`, in order and without gaps. There is one reader at a time. */
  read(reader: EventReader): void {
    this.recent.reset(this.knownHead);
    this.reader = reader;
  }

  stopReading(): void {
    this.reader = null;
    this.recent.reset(this.knownHead);
  }

  /** Seals what has been committed so far and reads to its end; for a last push before the sockets close. */
  async flush(): Promise<void> {
    await this.seal();
    await this.askHead();
    await this.reading;
  }

  private async seal(): Promise<void> {
    if (!this.running) return;
    this.sealWanted = true;
    this.sealing ??= this.sealAll().finally(() => {
      this.sealing = null;
    });
    await this.sealing;
  }

  private async sealAll(): Promise<void> {
    while (this.sealWanted && this.running) {
      this.sealWanted = false;
      try {
        const sealed = await this.events.seal(SEAL_BATCH);
        if (sealed === null) await new Promise((resolve) => setTimeout(resolve, BUSY_RETRY_MS));
        if (sealed === null || sealed === SEAL_BATCH) this.sealWanted = true;
        else if (sealed >= MANY_EVENTS) await new Promise((resolve) => setTimeout(resolve, GATHER_MS));
      } catch (error) {
        this.log.warn({ err: error }, 'sealing failed; it is tried again');
        return;
      }
    }
  }

  private async askHead(): Promise<void> {
    try {
      await this.refreshHead();
    } catch (error) {
      this.log.warn({ err: error }, 'the head of the event log cannot be read; it is tried again');
    }
  }

  private advance(head: bigint): void {
    if (head > this.knownHead) this.knownHead = head;
    if (!this.isBehind) return;
    this.reading ??= this.readOn().finally(() => {
      this.reading = null;
      if (this.isBehind) setTimeout(() => this.advance(0n), READ_RETRY_MS);
    });
  }

  private get isBehind(): boolean {
    return this.running && this.reader !== null && this.recent.end < this.knownHead;
  }

  private async readOn(): Promise<void> {
    try {
      while (this.isBehind) {
        const { end } = this.recent;
        const batch = await this.events.readAfter(end, READ_BATCH);
        if (batch[0]?.position !== end + 1n) throw new Error(`The event log has no event behind ${end}.`);
        if (this.recent.end !== end) continue; // another reader has begun meanwhile
        this.recent.append(batch);
        this.reader?.(batch);
      }
    } catch (error) {
      this.log.warn({ err: error }, 'reading the event log failed; it is tried again');
    }
  }
}
