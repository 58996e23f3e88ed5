import { LRUCache } from 'lru-cache';
import { type Logger } from 'pino';
import { type Caller } from '../../core/access/caller.js';
import { RateLimited } from '../../core/errors.js';
import { LIMIT_NAMES, type Limits } from '../../core/limits/limits.js';
import { type RateLimitRepository } from '../../db/limits/rate-limit-repository.js';
import { type InFlightRepository } from '../../db/limits/in-flight-repository.js';
import { RateAllowance, type AllowanceStatus } from './rate-allowance.js';
import { type ConnectionLimit } from './connection-limits.js';

export const RATE_LIMIT_WINDOW_MS = 60_000;
/** An evicted allowance starts again, which grants at most 1 % too much. */
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

/** An API key, client token, end user or workspace, with its limits. */
interface RateLimitSubject {
  name: string;
  label: string;
  limits: Limits;
}

type PerMinuteLimit = 'requestsPerMinute' | 'generationsPerMinute';

/**
 * Enforces the limits of keys, tokens, end users and workspaces over all instances. While PostgreSQL is unavailable, no
 * request is rejected here, because whatever needs PostgreSQL fails by itself.
 */
export class RateLimits {
  private readonly allowanceByName = new LRUCache<string, RateAllowance>({ max: MAX_CACHED_ALLOWANCES });

  constructor(
    private readonly allowances: RateLimitRepository,
    private readonly inFlight: InFlightRepository,
    private readonly defaults: DefaultLimits,
    private readonly windowMs: number,
    private readonly log: Logger,
  ) {}

  /**
   * Counts requests of the caller and returns the state of its request limit, or null when it has none. Throws RateLimited.
   * About one request in a hundred needs a query.
   */
  async countRequests(caller: Caller, count: number): Promise<RateLimitStatus | null> {
    const subjects = this.subjectsWithLimit(caller, 'requestsPerMinute');
    if (subjects.length === 0) return null;
    await this.consumeAll(subjects, 'requestsPerMinute', count);
    const statuses = subjects.map((subject) => {
      const limit = subject.limits.requestsPerMinute ?? 0;
      return this.allowanceOf(subject, 'requestsPerMinute').status(limit);
    });
    const [nearest] = statuses.sort((one, other) => one.remaining - other.remaining);
    return nearest ? { ...nearest, cost: count } : null;
  }

  /**
   * Counts a task that is about to be inserted and reserves its place under the in-flight limits. Returns a function that
   * undoes both when the task is not inserted. Throws RateLimited.
   */
  async admitGeneration(caller: Caller, taskId: string): Promise<() => Promise<void>> {
    const rateLimitedSubjects = this.subjectsWithLimit(caller, 'generationsPerMinute');
    await this.consumeAll(rateLimitedSubjects, 'generationsPerMinute', 1);
    const refundAll = () =>
      rateLimitedSubjects.forEach((subject) => this.allowanceOf(subject, 'generationsPerMinute').refund(1));
    const inFlightSubjects = this.subjectsWithLimit(caller, 'generationsInFlight');
    if (inFlightSubjects.length === 0) return () => Promise.resolve(refundAll());

    const limitOf = (subjectLabel: string) =>
      inFlightSubjects.find(({ label }) => label === subjectLabel)?.limits.generationsInFlight ?? null;
    // A token's tasks count toward its end user, or toward its key when it has no end user.
    const tokenLimit = limitOf(TOKEN_LABEL);
    const limits = {
      key: lowerOf(limitOf(KEY_LABEL), caller.endUserId === null ? tokenLimit : null),
      endUser: lowerOf(limitOf(END_USER_LABEL), caller.endUserId === null ? null : tokenLimit),
      workspace: limitOf(WORKSPACE_LABEL),
    };
    const exceeded = await this.inFlight.acquire(taskId, caller, limits);
    if (exceeded) {
      refundAll();
      throw new RateLimited(
        `${LABEL_BY_SUBJECT[exceeded]} has reached its limit of ${limits[exceeded]} tasks in flight. Wait until one of them finishes.`,
        IN_FLIGHT_RETRY_AFTER_MS,
      );
    }
    return async () => {
      refundAll();
      await this.inFlight.release(taskId);
    };
  }

  /** Returns the limits on the caller's connections, the narrowest subject first. */
  connectionLimitsOf(caller: Caller): (ConnectionLimit & { label: string })[] {
    const limited = this.subjectsWithLimit(caller, 'connections');
    return LABELS_NARROWEST_FIRST.flatMap((subjectLabel) =>
      limited.filter(({ label }) => label === subjectLabel),
    ).map(({ name, label, limits }) => ({ subject: name, label, limit: limits.connections ?? Infinity }));
  }

  private async consumeAll(
    subjects: readonly RateLimitSubject[],
    limitName: PerMinuteLimit,
    count: number,
  ): Promise<void> {
    const consumed: RateAllowance[] = [];
    for (const subject of subjects) {
      const allowance = this.allowanceOf(subject, limitName);
      const limit = subject.limits[limitName] ?? 0;
      if (await this.consume(allowance, count, limit)) consumed.push(allowance);
      else {
        consumed.forEach((one) => one.refund(count));
        const { resetsInMs } = allowance.status(limit);
        const seconds = Math.max(1, Math.ceil(resetsInMs / 1_000));
        throw new RateLimited(
          `${subject.label} has reached its limit of ${limit} ${NOUNS[limitName]} per minute. Try again in ${seconds} s.`,
          Math.ceil(resetsInMs),
        );
      }
    }
  }

  private async consume(allowance: RateAllowance, count: number, limit: number): Promise<boolean> {
    try {
      return await allowance.tryUse(count, limit);
    } catch (error) {
      this.log.warn(
        { err: error },
        'failed to count rate limits; admitting requests until the database is back',
      );
      return true;
    }
  }

  private subjectsWithLimit(caller: Caller, limitName: keyof Limits): RateLimitSubject[] {
    return this.subjectsOf(caller).filter(({ limits }) => typeof limits[limitName] === 'number');
  }

  private subjectsOf({ keyId, workspaceId, endUserId, limits, clientToken }: Caller): RateLimitSubject[] {
    const { key, endUser, workspace } = this.defaults;
    return [
      { name: `key ${keyId}`, label: KEY_LABEL, limits: withOverrides(key, limits) },
      ...(clientToken
        ? [{ name: `token ${clientToken.id}`, label: TOKEN_LABEL, limits: clientToken.limits }]
        : []),
      ...(endUserId === null
        ? []
        : [{ name: `end user ${workspaceId} ${endUserId}`, label: END_USER_LABEL, limits: endUser }]),
      { name: `workspace ${workspaceId}`, label: WORKSPACE_LABEL, limits: workspace },
    ];
  }

  private allowanceOf({ name }: RateLimitSubject, limitName: PerMinuteLimit): RateAllowance {
    const allowanceName = `${limitName} ${name}`;
    let allowance = this.allowanceByName.get(allowanceName);
    if (!allowance) {
      allowance = new RateAllowance(allowanceName, this.windowMs, this.allowances);
      this.allowanceByName.set(allowanceName, allowance);
    }
    return allowance;
  }
}

function lowerOf(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

function withOverrides(defaults: Limits, overrides: Limits): Limits {
  return Object.fromEntries(LIMIT_NAMES.map((name) => [name, overrides[name] ?? defaults[name]]));
}

const KEY_LABEL = 'This API key';
const TOKEN_LABEL = 'This client token';
const END_USER_LABEL = 'This end user';
const WORKSPACE_LABEL = 'This workspace';
const LABELS_NARROWEST_FIRST = [TOKEN_LABEL, END_USER_LABEL, KEY_LABEL, WORKSPACE_LABEL];
const LABEL_BY_SUBJECT = { key: KEY_LABEL, endUser: END_USER_LABEL, workspace: WORKSPACE_LABEL };
const NOUNS = { requestsPerMinute: 'requests', generationsPerMinute: 'generations' };
