import { type Logger } from 'pino';
import { type TaskEvent } from '../core/events.js';
import { type Events } from '../db/events.js';
import { Listener } from '../db/listener.js';

/** Must be the channel that the SQL function seal_events() notifies. */
const CHANNEL = 'darkroom_events';
/** Events sealed by one statement, and read by one. Sealing 1,000 takes about 10 ms. */
const SEAL_BATCH = 1_000;
const READ_BATCH = 500;
/** Another session is sealing: it may have looked before our commit, so ask again after about one sealing. */
const BUSY_RETRY_MS = 3;
/** The nets: for events whose writer died before it asked for sealing, and for notifications that were lost. */
const SEAL_NET_MS = 500;
const HEAD_NET_MS = 2_000;

export type EventSink = (event: TaskEvent) => void;

/**
 * The sealed log, seen from one instance. Writers call `sealSoon` after a commit; sealed events are read once, by
 * position, and handed to the sinks that follow their task. While nobody follows anything, nothing is read.
 *
 *   stopped -> start() -> running -> stop() -> stopped
 */
export class EventLog {
  private readonly sinks = new Map<string, Set<EventSink>>();
  private readonly listener: Listener;
  private timers: NodeJS.Timeout[] = [];
  private running = false;
  private sealWanted = false;
  private sealing: Promise<void> | null = null;
  private reading: Promise<void> | null = null;
  /** The last position known to be sealed, and the last one handed out. */
  private head = 0n;
  private handedOut = 0n;

  constructor(
    private readonly events: Events,
    url: string,
    private readonly log: Logger,
  ) {
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
    this.head = this.handedOut = await this.events.head();
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
    this.sealSoon();
    await this.sealing;
    this.running = false;
    await this.listener.close();
    await this.reading;
  }

  /** Asks for sealing. Returns at once; calls that come while one is under way are answered by one more. */
  sealSoon(): void {
    if (!this.running) return;
    this.sealWanted = true;
    this.sealing ??= this.sealAll().finally(() => {
      this.sealing = null;
    });
  }

  /**
   * Hands the task's events to `sink`, from some position that had been sealed before this call; the caller drops what it
   * has seen already. Returns the way to end it.
   */
  follow(taskId: string, sink: EventSink): () => void {
    const sinks = this.sinks.get(taskId) ?? new Set();
    if (this.sinks.size === 0) this.handedOut = this.head;
    this.sinks.set(taskId, sinks.add(sink));
    return () => {
      sinks.delete(sink);
      if (sinks.size === 0) this.sinks.delete(taskId);
    };
  }

  private async sealAll(): Promise<void> {
    while (this.sealWanted && this.running) {
      this.sealWanted = false;
      try {
        const sealed = await this.events.seal(SEAL_BATCH);
        if (sealed === null) await new Promise((resolve) => setTimeout(resolve, BUSY_RETRY_MS));
        if (sealed === null || sealed === SEAL_BATCH) this.sealWanted = true;
      } catch (error) {
        this.log.warn({ err: error }, 'sealing failed; it is tried again');
        return;
      }
    }
  }

  private async askHead(): Promise<void> {
    try {
      this.advance(await this.events.head());
    } catch (error) {
      this.log.warn({ err: error }, 'the head of the event log cannot be read; it is tried again');
    }
  }

  private advance(head: bigint): void {
    if (head > this.head) this.head = head;
    if (this.sinks.size === 0 || this.handedOut >= this.head) return;
    this.reading ??= this.readOn().finally(() => {
      this.reading = null;
      if (this.running && this.sinks.size > 0 && this.handedOut < this.head)
        setTimeout(() => this.advance(0n), 100);
    });
  }

  private async readOn(): Promise<void> {
    try {
      while (this.running && this.sinks.size > 0 && this.handedOut < this.head) {
        const batch = await this.events.readAfter(this.handedOut, READ_BATCH);
        for (const event of batch) {
          this.handedOut = event.position;
          this.sinks.get(event.taskId)?.forEach((sink) => sink(event));
        }
        if (batch.length === 0) return;
      }
    } catch (error) {
      this.log.warn({ err: error }, 'reading the event log failed; it is tried again');
    }
  }
}
