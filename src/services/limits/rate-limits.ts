import { LRUCache } from 'lru-cache';
import { type Logger } from 'pino';
import { type Caller } from '../../core/access/caller.js';
import { RateLimited } from '../../core/errors.js';
import { LIMIT_NAMES, type Limits } from '../../core/limits/limits.js';
import { type Allowances } from '../../db/limits/rate-limit-repository.js';
import { type Flights } from '../../db/limits/in-flight-repository.js';
import { Allowance, type Standing } from './rate-allowance.js';
import { type ConnectionLimit } from './connection-limits.js';

export const WINDOW_MS = 60_000;
/** Who has not asked for long is counted anew, at most 1 % too generously. */
const SUBJECTS_KEPT = 30_000;
/** A picture takes the upstream some seconds. */
const FLIGHT_RETRY_MS = 5_000;

/** Limits that hold where nothing narrower is said. */
export interface DefaultLimits {
  key: Limits;
  endUser: Limits;
  workspace: Limits;
}

/** How the limit on requests stands that is nearest to its end. */
export interface RateStanding extends Standing {
  /** What this request used up. */
  cost: number;
}

/** Whose limit it is, and what it is. */
interface Subject {
  name: string;
  called: string;
  limits: Limits;
}

type PerMinute = 'requestsPerMinute' | 'generationsPerMinute';

/**
 * What a key, an end user and a workspace may do in a minute and at once, over all instances. While Postgres is away nobody
 * is refused here: what needs Postgres fails by itself.
 */
export class RateLimits {
  private readonly counted = new LRUCache<string, Allowance>({ max: SUBJECTS_KEPT });

  constructor(
    private readonly allowances: Allowances,
    private readonly flights: Flights,
    private readonly defaults: DefaultLimits,
    private readonly windowMs: number,
    private readonly log: Logger,
  ) {}

  /**
   * Counts requests of the caller; how its limits stand then, or null where it has none. Throws RateLimited. Asks Postgres for
   * one in a hundred.
   */
  async admitRequests(caller: Caller, count: number): Promise<RateStanding | null> {
    const limited = this.limitedBy(caller, 'requestsPerMinute');
    if (limited.length === 0) return null;
    await this.useAll(limited, 'requestsPerMinute', count);
    const standings = limited.map((subject) => {
      const limit = subject.limits.requestsPerMinute ?? 0;
      return this.allowanceOf(subject, 'requestsPerMinute').standing(limit);
    });
    const [nearest] = standings.sort((one, other) => one.remaining - other.remaining);
    return nearest ? { ...nearest, cost: count } : null;
  }

  /**
   * Counts a task that is about to be written, and keeps a place for it among those in flight. Throws RateLimited. Returns how to
   * take that back when it is not written.
   */
  async admitGeneration(caller: Caller, taskId: string): Promise<() => Promise<void>> {
    const limited = this.limitedBy(caller, 'generationsPerMinute');
    await this.useAll(limited, 'generationsPerMinute', 1);
    const giveBack = () =>
      limited.forEach((subject) => this.allowanceOf(subject, 'generationsPerMinute').giveBack(1));
    const inFlight = this.limitedBy(caller, 'generationsInFlight');
    if (inFlight.length === 0) return () => Promise.resolve(giveBack());

    const limitOf = (kind: string) =>
      inFlight.find(({ called }) => called === kind)?.limits.generationsInFlight ?? null;
    // A token's tasks are counted for whom it speaks: its end user, or else its key.
    const ofToken = limitOf(TOKEN);
    const limits = {
      key: lower(limitOf(KEY), caller.endUserId === null ? ofToken : null),
      endUser: lower(limitOf(END_USER), caller.endUserId === null ? null : ofToken),
      workspace: limitOf(WORKSPACE),
    };
    const refused = await this.flights.hold(taskId, caller, limits);
    if (refused) {
      giveBack();
      throw new RateLimited(
        `${CALLED[refused]} may have ${limits[refused]} tasks in flight, and has. Wait until one has ended.`,
        FLIGHT_RETRY_MS,
      );
    }
    return async () => {
      giveBack();
      await this.flights.release(taskId);
    };
  }

  /** What bounds the caller's connections; what the fewest others share comes first. */
  connectionLimitsOf(caller: Caller): (ConnectionLimit & { called: string })[] {
    const limited = this.limitedBy(caller, 'connections');
    return NARROW_TO_WIDE.flatMap((kind) => limited.filter(({ called }) => called === kind)).map(
      ({ name, called, limits }) => ({ name, called, limit: limits.connections ?? Infinity }),
    );
  }

  private async useAll(subjects: readonly Subject[], what: PerMinute, count: number): Promise<void> {
    const used: Allowance[] = [];
    for (const subject of subjects) {
      const allowance = this.allowanceOf(subject, what);
      const limit = subject.limits[what] ?? 0;
      if (await this.use(allowance, count, limit)) used.push(allowance);
      else {
        used.forEach((one) => one.giveBack(count));
        const { leftMs } = allowance.standing(limit);
        const seconds = Math.max(1, Math.ceil(leftMs / 1_000));
        throw new RateLimited(
          `${subject.called} may make ${limit} ${NOUNS[what]} a minute, and has. Try again in ${seconds} s.`,
          Math.ceil(leftMs),
        );
      }
    }
  }

  private async use(allowance: Allowance, count: number, limit: number): Promise<boolean> {
    try {
      return await allowance.use(count, limit);
    } catch (error) {
      this.log.warn({ err: error }, 'limits cannot be counted at the moment; nobody is refused by them');
      return true;
    }
  }

  private limitedBy(caller: Caller, what: keyof Limits): Subject[] {
    return this.subjectsOf(caller).filter(({ limits }) => typeof limits[what] === 'number');
  }

  private subjectsOf({ keyId, workspaceId, endUserId, limits, token }: Caller): Subject[] {
    const { key, endUser, workspace } = this.defaults;
    return [
      { name: `key ${keyId}`, called: KEY, limits: overriding(key, limits) },
      ...(token ? [{ name: `token ${token.id}`, called: TOKEN, limits: token.limits }] : []),
      ...(endUserId === null
        ? []
        : [{ name: `end user ${workspaceId} ${endUserId}`, called: END_USER, limits: endUser }]),
      { name: `workspace ${workspaceId}`, called: WORKSPACE, limits: workspace },
    ];
  }

  private allowanceOf({ name }: Subject, what: PerMinute): Allowance {
    const full = `${what} ${name}`;
    let allowance = this.counted.get(full);
    if (!allowance) {
      allowance = new Allowance(full, this.windowMs, this.allowances);
      this.counted.set(full, allowance);
    }
    return allowance;
  }
}

function lower(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

/** The given ones, and for the others the defaults. */
function overriding(defaults: Limits, given: Limits): Limits {
  return Object.fromEntries(LIMIT_NAMES.map((name) => [name, given[name] ?? defaults[name]]));
}

const KEY = 'This key';
const TOKEN = 'This token';
const END_USER = 'This end user';
const WORKSPACE = 'This workspace';
const NARROW_TO_WIDE = [TOKEN, END_USER, KEY, WORKSPACE];
const CALLED = { key: KEY, endUser: END_USER, workspace: WORKSPACE };
const NOUNS = { requestsPerMinute: 'requests', generationsPerMinute: 'generations' };
