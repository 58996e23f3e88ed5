import { setImmediate as nextLoopTurn } from 'node:timers/promises';
import { singleFlight, singleFlightWithRerun, TIMED_OUT, withTimeout } from '../../core/primitives/async.js';
import { TooManyConnections } from '../../core/errors.js';
import { newId } from '../../core/primitives/ids.js';
import { type Dependencies } from '../dependencies.js';

/** A limit on the connections of one subject over all instances. */
export interface ConnectionLimit {
  /** Identifies the API key, client token, end user or workspace. */
  subject: string;
  /** Names the subject in messages to its caller. */
  label: string;
  limit: number;
}

export const TOO_MANY_CONNECTIONS_ADVICE = 'Close some, or share one connection between subscriptions.';

/** The slots of an instance that died count until its lease expires. */
export const LEASE_MS = 10_000;
const HEARTBEATS_PER_LEASE = 5;
/**
 * An instance reserves 0.5 % of a limit at a time and keeps at most 1 % of it free. With six instances, 5 % of the limit
 * can be unavailable to the next client. A limit of up to 200 is reserved slot by slot and is exact.
 */
const LIMIT_SHARES = 200;
/** The subjects of one statement. Further subjects wait for the next one. */
const SUBJECTS_PER_STATEMENT = 200;
/** After this time PostgreSQL counts as unavailable. Clients wait for their connection until then. */
const DATABASE_TIMEOUT_MS = 3_000;

/** The state of one subject on this instance. */
interface LimitedSubject extends ConnectionLimit {
  /** Open connections on this instance. */
  openConnections: number;
  /** Slots that this instance holds. Fewer than `openConnections` if some were admitted while PostgreSQL was unavailable. */
  slots: number;
  waiters: ((isAdmitted: boolean) => void)[];
}

/**
 * Enforces connection limits over all instances. Each instance holds slots in PostgreSQL as long as it renews its lease,
 * and it counts its connections against those slots locally. One statement at a time adjusts the slots of all subjects, so
 * a thousand concurrent clients need only a few statements. While PostgreSQL is unavailable, every connection is admitted.
 */
export class ConnectionLimits {
  private readonly leaseId = newId();
  private readonly subjects = new Map<string, LimitedSubject>();
  private readonly changed = new Set<LimitedSubject>();
  private readonly timer: NodeJS.Timeout;
  private readonly syncSlots = singleFlightWithRerun(() => this.syncChanged());
  private readonly sendHeartbeat = singleFlight(() => this.heartbeat());
  /** Stays true after the first limited connection, because another one may come before the next heartbeat. */
  private isUsed = false;
  /** PostgreSQL did not respond within DATABASE_TIMEOUT_MS. */
  private isDatabaseUnavailable = false;
  /** PostgreSQL may hold other numbers than this instance. The next heartbeat sends all of them again. */
  private needsResync = false;
  private isStopped = false;

  constructor(private readonly deps: Pick<Dependencies, 'log' | 'slots'> & { leaseMs: number }) {
    this.timer = setInterval(() => void this.sendHeartbeat(), deps.leaseMs / HEARTBEATS_PER_LEASE);
  }

  /**
   * Acquires a slot of each limit, in their order. A rejection by an early limit takes no slot of the later ones, which
   * others share. Returns a function that releases the slots, and does nothing when it is called again. Throws
   * TooManyConnections.
   */
  async acquire(limits: readonly ConnectionLimit[]): Promise<() => void> {
    const acquired: LimitedSubject[] = [];
    const release = () => acquired.splice(0).forEach((subject) => this.releaseSlot(subject));
    for (const limit of limits) {
      const subject = this.subjectOf(limit);
      if (!(await this.acquireSlot(subject))) {
        release();
        throw new TooManyConnections(
          `${limit.label} has reached its limit of ${limit.limit} open connections. ${TOO_MANY_CONNECTIONS_ADVICE}`,
        );
      }
      acquired.push(subject);
    }
    return release;
  }

  /** Releases all slots of this instance. */
  async stop(): Promise<void> {
    this.isStopped = true;
    clearInterval(this.timer);
    await Promise.all([this.syncSlots(), this.sendHeartbeat()]);
    for (const subject of this.subjects.values()) this.admitWaiters(subject);
    if (this.isUsed) await this.deps.slots.releaseLease(this.leaseId).catch(() => undefined);
  }

  private subjectOf(limit: ConnectionLimit): LimitedSubject {
    const known = this.subjects.get(limit.subject) ?? { openConnections: 0, slots: 0, waiters: [] };
    const subject = Object.assign(known, limit);
    this.isUsed = true;
    this.subjects.set(subject.subject, subject);
    return subject;
  }

  private acquireSlot(subject: LimitedSubject): boolean | Promise<boolean> {
    if (subject.openConnections < subject.slots || this.isDatabaseUnavailable || this.isStopped) {
      subject.openConnections += 1;
      return true;
    }
    return new Promise((resolve) => {
      subject.waiters.push(resolve);
      this.scheduleSync(subject);
    });
  }

  private releaseSlot(subject: LimitedSubject): void {
    subject.openConnections -= 1;
    if (wantedSlotsOf(subject) !== subject.slots) this.scheduleSync(subject);
  }

  private admitWaiters(subject: LimitedSubject): void {
    const waiters = subject.waiters.splice(0);
    subject.openConnections += waiters.length;
    for (const resolve of waiters) resolve(true);
  }

  private scheduleSync(subject: LimitedSubject): void {
    this.changed.add(subject);
    if (!this.isStopped) void this.syncSlots();
  }

  private async syncChanged(): Promise<void> {
    // Collects the connections of this turn of the event loop into one statement.
    await nextLoopTurn();
    while (this.changed.size > 0 && !this.isStopped) {
      const subjects = [...this.changed].slice(0, SUBJECTS_PER_STATEMENT);
      for (const subject of subjects) this.changed.delete(subject);
      await this.syncSubjects(subjects);
    }
  }

  /** Adjusts the slots of these subjects and admits the waiters that have one. */
  private async syncSubjects(subjects: readonly LimitedSubject[]): Promise<void> {
    const waiterCounts = subjects.map((subject) => subject.waiters.length);
    try {
      const reservation = this.reserveSlots(subjects);
      if ((await withTimeout(reservation, DATABASE_TIMEOUT_MS)) === TIMED_OUT) {
        this.isDatabaseUnavailable = true;
        this.needsResync = true;
        for (const subject of this.subjects.values()) this.admitWaiters(subject);
      }
      const slots = await reservation;
      subjects.forEach((subject, index) => {
        subject.slots = slots.get(subject.subject) ?? 0;
        for (const resolve of subject.waiters.splice(0, waiterCounts[index])) {
          const isAdmitted = subject.openConnections < subject.slots;
          if (isAdmitted) subject.openConnections += 1;
          resolve(isAdmitted);
        }
        if (subject.openConnections + subject.slots + subject.waiters.length === 0)
          this.subjects.delete(subject.subject);
      });
    } catch (error) {
      this.deps.log.warn(
        { err: error },
        'failed to count connections; admitting all of them until the database is back',
      );
      this.needsResync = true;
      for (const subject of subjects) this.admitWaiters(subject);
    } finally {
      this.isDatabaseUnavailable = false;
    }
  }

  private async reserveSlots(subjects: readonly LimitedSubject[]): Promise<Map<string, number>> {
    const requests = subjects.map((subject) => {
      const { openConnections, limit } = subject;
      const wantedSlots = wantedSlotsOf(subject);
      // Slots that are being released must not be used meanwhile.
      subject.slots = Math.min(subject.slots, wantedSlots);
      return { subject: subject.subject, openConnections, wantedSlots, maxSlots: limit };
    });
    const slots = await this.deps.slots.adjustSlots(this.leaseId, requests);
    if (slots) return slots;
    await this.createLease();
    const retried = await this.deps.slots.adjustSlots(this.leaseId, requests);
    if (!retried) throw new Error('The connection lease expired while slots were being reserved.');
    return retried;
  }

  /** Creates the first lease, or a new one after other instances deleted the expired lease and its slots. */
  private async createLease(): Promise<void> {
    await this.deps.slots.createLease(this.leaseId, this.deps.leaseMs);
    this.needsResync = true;
  }

  private async heartbeat(): Promise<void> {
    if (!this.isUsed || this.isStopped) return;
    try {
      if (!(await this.deps.slots.renewLease(this.leaseId, this.deps.leaseMs))) await this.createLease();
      if (this.needsResync) {
        this.needsResync = false;
        for (const subject of this.subjects.values()) this.scheduleSync(subject);
      }
      await this.deps.slots.deleteExpiredLeases(this.deps.leaseMs);
    } catch (error) {
      this.deps.log.warn({ err: error }, 'failed to renew the lease of the connection slots; trying again');
    }
  }
}

/** The slots that this instance should hold. Unchanged when the present number is about right. */
function wantedSlotsOf({ openConnections, slots, waiters, limit }: LimitedSubject): number {
  const neededSlots = openConnections + waiters.length;
  const spareSlots = Math.ceil(limit / LIMIT_SHARES) - 1;
  if (neededSlots === 0) return 0;
  return neededSlots > slots || slots - neededSlots > 2 * spareSlots ? neededSlots + spareSlots : slots;
}
