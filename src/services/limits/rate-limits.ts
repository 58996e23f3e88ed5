import { LRUCache } from 'lru-cache';
import { type Caller } from '../../core/access/caller.js';
import { RateLimited } from '../../core/errors.js';
import { type Limits } from '../../core/limits/limits.js';
import { RateAllowance, type AllowanceStatus } from './rate-allowance.js';
import { type ConnectionLimit } from './connection-limits.js';
import { deleteInBatches } from '../../core/primitives/delete-in-batches.js';
import { type Dependencies } from '../dependencies.js';

export const RATE_LIMIT_WINDOW_MS = 60_000;
/** An evicted allowance starts again, which wastes at most 1 % of the limit. */
const MAX_CACHED_ALLOWANCES = 30_000;
/** The upstream takes some seconds for an image. */
const IN_FLIGHT_RETRY_AFTER_MS = 5_000;

/** The limits of keys, end users and workspaces that have none of their own. */
export interface DefaultLimits {
  key: Limits;
  endUser: Limits;
  workspace: Limits;
}

/** The state of the caller's request limit with the least remaining. */
export interface RateLimitStatus extends AllowanceStatus {
  /** What this request used. */
  cost: number;
}

/** A certain limit of an API key, client token, end user or workspace. */
interface SubjectLimit extends ConnectionLimit {
  kind: SubjectKind;
}

const NARROWEST_FIRST = ['token', 'endUser', 'key', 'workspace'] as const;
type SubjectKind = (typeof NARROWEST_FIRST)[number];
const LABELS: Record<SubjectKind, string> = {
  token: 'This client token',
  endUser: 'This end user',
  key: 'This API key',
  workspace: 'This workspace',
};
const NOUNS = { requestsPerMinute: 'requests', generationsPerMinute: 'generations' };
type PerMinuteLimit = keyof typeof NOUNS;

interface RateLimitsDependencies extends Pick<Dependencies, 'rateLimitWindows' | 'inFlight' | 'log'> {
  defaults: DefaultLimits;
  windowMs: number;
}

/**
 * Enforces the limits of keys, tokens, end users and workspaces over all instances. While PostgreSQL is unavailable, no
 * request is rejected here, because whatever needs PostgreSQL fails by itself.
 */
export class RateLimits {
  private readonly allowances = new LRUCache<string, RateAllowance>({
    max: MAX_CACHED_ALLOWANCES,
    memoMethod: (name) => new RateAllowance(name, this.deps.windowMs, this.deps.rateLimitWindows),
  });

  constructor(private readonly deps: RateLimitsDependencies) {}

  /**
   * Counts requests of the caller and returns the state of its request limit, or null when it has none. Throws RateLimited.
   * About one request in a hundred needs a query. `counted`: those that an earlier call has counted.
   */
  async countRequests(caller: Caller, count: number, { counted = 0 } = {}): Promise<RateLimitStatus | null> {
    const subjects = this.subjectsWithLimit(caller, 'requestsPerMinute');
    await this.consumeAll(subjects, 'requestsPerMinute', count - counted);
    const statuses = subjects.map((subject) =>
      this.allowanceOf(subject, 'requestsPerMinute').status(subject.limit),
    );
    const [nearest] = statuses.sort((one, other) => one.remaining - other.remaining);
    return nearest ? { ...nearest, cost: count } : null;
  }

  /**
   * Counts a task that is about to be inserted and acquires an in-flight lease for it. Returns a function that
   * undoes both when the task is not inserted. Throws RateLimited.
   */
  async admitGeneration(caller: Caller, taskId: string): Promise<() => Promise<void>> {
    const rateLimitedSubjects = this.subjectsWithLimit(caller, 'generationsPerMinute');
    const refundAll = await this.consumeAll(rateLimitedSubjects, 'generationsPerMinute', 1);
    const inFlightSubjects = this.subjectsWithLimit(caller, 'generationsInFlight');
    if (inFlightSubjects.length === 0) return () => Promise.resolve(refundAll());

    const limitOf = (wanted: SubjectKind) =>
      inFlightSubjects.find(({ kind }) => kind === wanted)?.limit ?? null;
    const tokenLimit = limitOf('token');
    // A token's tasks count toward its end user, or toward its key when it has no end user.
    const countedFor = caller.endUserId === null ? 'key' : 'endUser';
    const limits = {
      key: limitOf('key'),
      endUser: limitOf('endUser'),
      workspace: limitOf('workspace'),
      [countedFor]: lowerOf(limitOf(countedFor), tokenLimit),
    };
    const exceeded = await this.deps.inFlight.acquire(taskId, caller, limits).catch((error: unknown) => {
      refundAll();
      throw error;
    });
    if (exceeded) {
      refundAll();
      const kind = exceeded === countedFor && limits[exceeded] === tokenLimit ? 'token' : exceeded;
      throw new RateLimited(
        `${LABELS[kind]} has reached its limit of ${limits[exceeded]} tasks in flight. Wait until one of them finishes.`,
        IN_FLIGHT_RETRY_AFTER_MS,
      );
    }
    return async () => {
      refundAll();
      await this.deps.inFlight.release(taskId);
    };
  }

  /** Returns the limits on the caller's connections, the narrowest subject first. */
  connectionLimitsOf(caller: Caller): ConnectionLimit[] {
    const rankOf = ({ kind }: SubjectLimit) => NARROWEST_FIRST.indexOf(kind);
    return this.subjectsWithLimit(caller, 'connections').sort((one, other) => rankOf(one) - rankOf(other));
  }

  /** Deletes windows that ended long ago. Every end user and token leaves one behind. */
  async deleteEndedWindows(signal?: AbortSignal): Promise<void> {
    await deleteInBatches((limit) => this.deps.rateLimitWindows.deleteEnded(limit), signal);
  }

  /** Deletes in-flight leases that have expired. The next request of their workspace would delete them, but there may be none. */
  async deleteExpiredLeases(signal?: AbortSignal): Promise<void> {
    await deleteInBatches((limit) => this.deps.inFlight.deleteExpired(limit), signal);
  }

  /** Counts toward every limit, or toward none when it throws RateLimited. Returns a function that undoes it. */
  private async consumeAll(
    subjects: readonly SubjectLimit[],
    limitName: PerMinuteLimit,
    count: number,
  ): Promise<() => void> {
    const consumed: RateAllowance[] = [];
    const refundAll = () => consumed.forEach((allowance) => allowance.refund(count));
    for (const subject of subjects) {
      const { label, limit } = subject;
      const allowance = this.allowanceOf(subject, limitName);
      if (await this.consume(allowance, count, limit)) consumed.push(allowance);
      else {
        refundAll();
        const { resetsInMs } = allowance.status(limit);
        const seconds = Math.max(1, Math.ceil(resetsInMs / 1_000));
        throw new RateLimited(
          `${label} has reached its limit of ${limit} ${NOUNS[limitName]} per minute. Try again in ${seconds} s.`,
          Math.ceil(resetsInMs),
        );
      }
    }
    return refundAll;
  }

  private async consume(allowance: RateAllowance, count: number, limit: number): Promise<boolean> {
    try {
      return await allowance.tryUse(count, limit);
    } catch (error) {
      this.deps.log.warn(
        { err: error },
        'failed to count rate limits; admitting requests until the database is back',
      );
      return true;
    }
  }

  private subjectsWithLimit(caller: Caller, limitName: keyof Limits): SubjectLimit[] {
    const { keyLineageId, workspaceId, endUserId, limits, clientToken } = caller;
    const { key, endUser, workspace } = this.deps.defaults;
    const endUserLimit = endUserId === null ? null : endUser[limitName];
    const subjects = [
      { kind: 'key', subject: `key ${keyLineageId}`, limit: limits[limitName] ?? key[limitName] },
      { kind: 'token', subject: `token ${clientToken?.id}`, limit: clientToken?.limits[limitName] },
      { kind: 'endUser', subject: `end user ${workspaceId} ${endUserId}`, limit: endUserLimit },
      { kind: 'workspace', subject: `workspace ${workspaceId}`, limit: workspace[limitName] },
    ] as const;
    return subjects.flatMap(({ limit, ...subject }) =>
      typeof limit === 'number' ? [{ ...subject, label: LABELS[subject.kind], limit }] : [],
    );
  }

  private allowanceOf({ subject }: SubjectLimit, limitName: PerMinuteLimit): RateAllowance {
    return this.allowances.memo(`${limitName} ${subject}`);
  }
}

function lowerOf(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}
