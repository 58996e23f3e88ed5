import { setTimeout as delay } from 'node:timers/promises';
import { type Logger } from 'pino';
import { singleFlight, singleFlightWithRerun } from '../core/primitives/async.js';
import { Progress } from '../core/primitives/progress.js';
import { Watchdog } from '../core/primitives/watchdog.js';
import { type TaskEvent } from '../core/events/task-event.js';
import { type EventRepository } from '../db/events/event-repository.js';
import { NotificationListener } from '../db/postgres/listener.js';
import { RecentEvents } from './recent-events.js';

/** The channel that the SQL function seal_events() notifies. */
const CHANNEL = 'darkroom_events';
/** Events per statement. Sealing 1,000 takes about 10 ms. */
const SEAL_BATCH_SIZE = 1_000;
const READ_BATCH_SIZE = 500;
/**
 * Another session is sealing and may have looked before our commit, so retry after about the duration of one sealing. The delay
 * doubles while the other session seals nothing.
 */
const MIN_BUSY_RETRY_MS = 3;
const MAX_BUSY_RETRY_MS = 100;
/**
 * When one sealing finds this many events, the next one waits for a moment: each sealing is a commit that delays writers.
 * At 200 events per second they are still sealed one by one.
 */
const BATCH_THRESHOLD = 4;
const BATCH_DELAY_MS = 10;
/** Safety polls, for events whose writer died before it requested sealing, and for lost notifications. */
const SEAL_SAFETY_POLL_MS = 500;
const HEAD_SAFETY_POLL_MS = 2_000;
const READ_RETRY_MS = 100;
/** Longer than a statement takes at most, which is 5 s. */
const STALLED_AFTER_MS = 7_000;

export type EventBatchHandler = (batch: readonly TaskEvent[]) => void;

/**
 * One instance's view of the sealed event log. Writers call `requestSeal` after a commit. Sealed events are read once, by
 * position, and passed to the one handler. Without a handler nothing is read.
 *
 *   stopped -> start() -> running -> stop() -> stopped
 */
export class EventLog {
  /** The events passed to the handler most recently, for subscribers that resume. */
  readonly recent: RecentEvents;
  private readonly listener: NotificationListener;
  private handler: EventBatchHandler | null = null;
  private onAdvance = () => {};
  private timers: NodeJS.Timeout[] = [];
  /** The last time that any instance sealed events, or that there were none to seal. */
  private readonly sealing = new Progress();
  /** The last time that events were read, or that there were none to read. */
  private readonly reading = new Progress();
  private watchdogs: Watchdog[] = [];
  private isRunning = false;
  private seal = singleFlightWithRerun(() => this.sealBatch());
  private readNewEvents = singleFlightWithRerun(() => this.readUntilHead());
  private queryHead = singleFlight(() => this.events.headPosition());
  private busyRetryMs = MIN_BUSY_RETRY_MS;
  /** The last position known to be sealed. */
  private knownHead = 0n;

  constructor(
    private readonly events: EventRepository,
    url: string,
    private readonly log: Logger,
  ) {
    this.recent = new RecentEvents(events);
    this.listener = new NotificationListener({
      url,
      channel: CHANNEL,
      log,
      onNotification: (position) => this.advance(BigInt(position)),
      onListening: () => void this.pollHead(),
    });
  }

  /** `onFatal` is called when replacing a part that makes no progress does not help, although PostgreSQL responds. */
  async start({ onFatal }: { onFatal?: ((reason: string) => void) | undefined } = {}): Promise<void> {
    this.isRunning = true;
    this.knownHead = await this.events.headPosition();
    await this.listener.start();
    this.timers = [
      setInterval(() => this.requestSeal(), SEAL_SAFETY_POLL_MS),
      setInterval(() => void this.pollHead(), HEAD_SAFETY_POLL_MS),
    ];
    this.watchdogs = this.createWatchdogs(onFatal);
    for (const watchdog of this.watchdogs) watchdog.start();
    this.requestSeal();
  }

  /** Seals all committed events, then stops. */
  async stop(): Promise<void> {
    this.timers.forEach((timer) => clearInterval(timer));
    for (const watchdog of this.watchdogs) watchdog.stop();
    await this.seal();
    this.isRunning = false;
    await this.listener.close();
    await this.readNewEvents();
  }

  /** Seals in the background. Calls during a sealing cause one more sealing after it. */
  requestSeal(): void {
    void this.seal();
  }

  /** For how long each part has made no progress. Empty while the log is stopped. */
  get stalledMs(): { sealing?: number; notifications?: number; reading?: number } {
    if (!this.isRunning) return {};
    return {
      sealing: this.sealing.ageMs,
      notifications: this.listener.progress.ageMs,
      reading: this.isBehind ? this.reading.ageMs : 0,
    };
  }

  /** Position of the last event that this instance knows to be sealed. */
  get head(): bigint {
    return this.knownHead;
  }

  /**
   * Calls `listener` whenever this instance learns that events were sealed, by any instance. Their writers have committed, and
   * may have added jobs. There is one listener.
   */
  setAdvanceListener(listener: () => void): void {
    this.onAdvance = listener;
  }

  /** Reads the head from PostgreSQL. Another instance may have sealed events whose notification has not arrived yet. */
  async refreshHead(): Promise<bigint> {
    this.advance(await this.queryHead());
    return this.knownHead;
  }

  /** Passes every event after `head` to `handler`, in order and without gaps. There is one handler at a time. */
  startReading(handler: EventBatchHandler): void {
    this.recent.reset(this.knownHead);
    this.handler = handler;
  }

  stopReading(): void {
    this.handler = null;
    this.recent.reset(this.knownHead);
  }

  /** Seals all committed events and reads them, for the final push before the sockets close. */
  async flush(): Promise<void> {
    await this.seal();
    await this.pollHead();
    await this.readNewEvents();
  }

  /** What hangs is left behind. If it ends after all, it finds that nothing is left to seal or to read. */
  private createWatchdogs(onFatal?: (reason: string) => void): Watchdog[] {
    const shared = { stalledAfterMs: STALLED_AFTER_MS, log: this.log };
    return [
      new Watchdog({
        ...shared,
        part: 'sealing',
        stalledMs: () => this.stalledMs.sealing ?? 0,
        probe: () => this.events.probeSealing(),
        replace: () => {
          this.seal = singleFlightWithRerun(() => this.sealBatch());
          this.requestSeal();
        },
        onFatal,
      }),
      new Watchdog({
        ...shared,
        part: 'reading',
        stalledMs: () => this.stalledMs.reading ?? 0,
        probe: () => this.events.headPosition(),
        replace: () => {
          this.queryHead = singleFlight(() => this.events.headPosition());
          this.readNewEvents = singleFlightWithRerun(() => this.readUntilHead());
          void this.pollHead();
          void this.readNewEvents();
        },
        onFatal,
      }),
      new Watchdog({
        ...shared,
        part: 'notifications',
        stalledMs: () => this.stalledMs.notifications ?? 0,
        probe: () => this.events.headPosition(),
        replace: () => this.listener.restart(),
        // Never the reason to end the process: without notifications the head is read every 2 s.
      }),
    ];
  }

  private async sealBatch(): Promise<void> {
    if (!this.isRunning) return;
    try {
      const sealed = await this.events.seal(SEAL_BATCH_SIZE);
      if (sealed === null) {
        const delayMs = this.busyRetryMs;
        this.busyRetryMs = Math.min(2 * delayMs, MAX_BUSY_RETRY_MS);
        await delay(delayMs);
      } else this.recordSealing();
      if (sealed === null || sealed === SEAL_BATCH_SIZE) this.requestSeal();
      else if (sealed >= BATCH_THRESHOLD) await delay(BATCH_DELAY_MS);
    } catch (error) {
      this.log.warn({ err: error }, 'sealing events failed; retrying');
    }
  }

  private recordSealing(): void {
    this.sealing.record();
    this.busyRetryMs = MIN_BUSY_RETRY_MS;
  }

  private async pollHead(): Promise<void> {
    try {
      await this.refreshHead();
    } catch (error) {
      this.log.warn({ err: error }, 'cannot read the head of the event log; retrying');
    }
  }

  private advance(head: bigint): void {
    if (!this.isBehind) this.reading.record();
    if (head > this.knownHead) {
      this.knownHead = head;
      this.recordSealing();
      this.onAdvance();
    }
    if (this.isBehind) void this.readNewEvents();
  }

  private get isBehind(): boolean {
    return this.isRunning && this.handler !== null && this.recent.endPosition < this.knownHead;
  }

  private async readUntilHead(): Promise<void> {
    try {
      while (this.isBehind) {
        const { endPosition } = this.recent;
        const batch = await this.events.readAfter(endPosition, READ_BATCH_SIZE);
        if (batch[0]?.position !== endPosition + 1n)
          throw new Error(`The event log has a gap: no event follows position ${endPosition}.`);
        if (this.recent.endPosition !== endPosition) continue; // another handler started in the meantime
        this.reading.record();
        this.recent.append(batch);
        this.handler?.(batch);
      }
    } catch (error) {
      this.log.warn({ err: error }, 'reading the event log failed; retrying');
      setTimeout(() => this.advance(0n), READ_RETRY_MS);
    }
  }
}
