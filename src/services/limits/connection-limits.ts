import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Logger } from 'pino';
import { newId } from '../../core/primitives/ids.js';
import { type ConnectionPlaces } from '../../db/limits/connection-slot-repository.js';

/** Whose connections are limited, and to how many over all instances. */
export interface ConnectionLimit {
  name: string;
  limit: number;
}

/** The places of an instance that has died count until its lease has ended. */
export const LEASE_MS = 10_000;
const BEATS_IN_LEASE = 5;
/**
 * An instance takes 0.5 % of a limit at once, and keeps 1 % free at most: with six of them 5 % are lost to whoever asks next. A limit
 * up to 200 is taken place by place, and exact.
 */
const SHARES = 200;
/** Places of so many are asked for in one statement; those of others wait for it if they are the same. */
const SUBJECTS_AT_ONCE = 200;
/** Then Postgres counts as away: a client waits for its connection meanwhile. */
const PATIENCE_MS = 3_000;

/** One subject as this instance knows it. */
interface Subject extends ConnectionLimit {
  /** Connections that are open here. */
  open: number;
  /** Places that this instance has. Fewer than `open`: some were let in while Postgres was away. */
  held: number;
  waiting: ((isLetIn: boolean) => void)[];
}

/**
 * Holds connections to their limits over all instances. Each instance has a number of places in Postgres, for as long as it says
 * that it is alive, and counts its connections against those by itself. What it needs more, or no more, goes in one statement at a
 * time for all subjects, so a thousand clients that come at once cost a few. While Postgres is away nobody is refused.
 */
export class ConnectionLimits {
  private readonly holderId = newId();
  private readonly subjects = new Map<string, Subject>();
  private readonly changed = new Set<Subject>();
  private readonly timer: NodeJS.Timeout;
  private working: Promise<void> | null = null;
  private beating: Promise<void> | null = null;
  /** From the first limited connection on: also who has none at the moment may have one before the next beat. */
  private isUsed = false;
  /** Postgres has not answered for long. */
  private isAway = false;
  /** Postgres may have other numbers than we: at the next beat they are told anew. */
  private isInDoubt = false;
  private isOver = false;

  constructor(
    private readonly places: ConnectionPlaces,
    private readonly leaseMs: number,
    private readonly log: Logger,
  ) {
    this.timer = setInterval(() => {
      this.beating ??= this.beat().finally(() => {
        this.beating = null;
      });
    }, leaseMs / BEATS_IN_LEASE);
  }

  /**
   * Takes a place of each, one after the other: who is refused by the first takes none of those that others share. Returns how to
   * give them back, or the limit that has no place left.
   */
  async open<Limit extends ConnectionLimit>(limits: readonly Limit[]): Promise<(() => void) | Limit> {
    const entered: Subject[] = [];
    const leave = () => entered.splice(0).forEach((subject) => this.leave(subject));
    for (const limit of limits) {
      const subject = this.subjectOf(limit);
      if (!(await this.enter(subject))) {
        leave();
        return limit;
      }
      entered.push(subject);
    }
    return leave;
  }

  /** Gives everything back. */
  async stop(): Promise<void> {
    this.isOver = true;
    clearInterval(this.timer);
    await Promise.all([this.working, this.beating]);
    for (const subject of this.subjects.values()) this.letIn(subject);
    if (this.isUsed) await this.places.leave(this.holderId).catch(() => undefined);
  }

  private subjectOf({ name, limit }: ConnectionLimit): Subject {
    const subject = this.subjects.get(name) ?? { name, limit, open: 0, held: 0, waiting: [] };
    subject.limit = limit;
    this.isUsed = true;
    this.subjects.set(name, subject);
    return subject;
  }

  private enter(subject: Subject): boolean | Promise<boolean> {
    if (subject.open < subject.held || this.isAway || this.isOver) {
      subject.open += 1;
      return true;
    }
    return new Promise((resolve) => {
      subject.waiting.push(resolve);
      this.change(subject);
    });
  }

  private leave(subject: Subject): void {
    subject.open -= 1;
    if (wantedOf(subject) !== subject.held) this.change(subject);
  }

  private letIn(subject: Subject): void {
    const waiting = subject.waiting.splice(0);
    subject.open += waiting.length;
    for (const resolve of waiting) resolve(true);
  }

  private change(subject: Subject): void {
    this.changed.add(subject);
    if (this.isOver) return;
    this.working ??= this.work().finally(() => {
      this.working = null;
      // What has changed since the last look.
      for (const one of this.changed) this.change(one);
    });
  }

  private async work(): Promise<void> {
    // Those that come in the same moment go together.
    await nextTurn();
    while (this.changed.size > 0 && !this.isOver) {
      const subjects = [...this.changed].slice(0, SUBJECTS_AT_ONCE);
      for (const subject of subjects) this.changed.delete(subject);
      await this.settle(subjects);
    }
  }

  /** Asks for what these need, and lets in whom there are places for. */
  private async settle(subjects: readonly Subject[]): Promise<void> {
    const waiting = subjects.map((subject) => subject.waiting.length);
    const patience = setTimeout(() => {
      this.isAway = true;
      this.isInDoubt = true;
      for (const subject of this.subjects.values()) this.letIn(subject);
    }, PATIENCE_MS);
    try {
      const held = await this.hold(subjects);
      subjects.forEach((subject, index) => {
        subject.held = held.get(subject.name) ?? 0;
        for (const resolve of subject.waiting.splice(0, waiting[index])) {
          const isLetIn = subject.open < subject.held;
          if (isLetIn) subject.open += 1;
          resolve(isLetIn);
        }
        if (subject.open + subject.held + subject.waiting.length === 0) this.subjects.delete(subject.name);
      });
    } catch (error) {
      this.log.warn({ err: error }, 'connections cannot be counted at the moment; nobody is refused by it');
      this.isInDoubt = true;
      for (const subject of subjects) this.letIn(subject);
    } finally {
      clearTimeout(patience);
      this.isAway = false;
    }
  }

  private async hold(subjects: readonly Subject[]): Promise<Map<string, number>> {
    const asked = subjects.map((subject) => {
      const { name, open, limit } = subject;
      const wanted = wantedOf(subject);
      // What is being given back is not used meanwhile.
      subject.held = Math.min(subject.held, wanted);
      return { subject: name, open, wanted, limit };
    });
    const held = await this.places.hold(this.holderId, asked);
    if (held) return held;
    await this.join();
    const again = await this.places.hold(this.holderId, asked);
    if (!again) throw new Error('The lease ended while places were asked for.');
    return again;
  }

  /** The first beat, and the one after others have given us up: they have removed our places. */
  private async join(): Promise<void> {
    await this.places.join(this.holderId, this.leaseMs);
    this.isInDoubt = true;
  }

  private async beat(): Promise<void> {
    if (!this.isUsed) return;
    try {
      if (!(await this.places.beat(this.holderId, this.leaseMs))) await this.join();
      if (this.isInDoubt) {
        this.isInDoubt = false;
        for (const subject of this.subjects.values()) this.change(subject);
      }
      await this.places.bury(this.leaseMs);
    } catch (error) {
      this.log.warn({ err: error }, 'places for connections cannot be kept at the moment; it is tried again');
    }
  }
}

/** How many places it should have here. What it has, where that is about right. */
function wantedOf({ open, held, waiting, limit }: Subject): number {
  const needed = open + waiting.length;
  const spare = Math.ceil(limit / SHARES) - 1;
  if (needed === 0) return 0;
  return needed > held || held - needed > 2 * spare ? needed + spare : held;
}
