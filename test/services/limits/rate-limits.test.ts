import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { type Caller } from '../../../src/core/access/caller.js';
import { RateLimited } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { RateLimitRepository } from '../../../src/db/limits/rate-limit-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { InFlightRepository } from '../../../src/db/limits/in-flight-repository.js';
import { type DefaultLimits, RateLimits } from '../../../src/services/limits/rate-limits.js';
import { callerWith } from '../../support/access/callers.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const log = pino({ level: 'silent' });
/** No window ends during a test that uses this length. */
const LONG_MS = 24 * 3_600_000;

let database: TestDatabase;
let db: Database;
let statements = 0;
beforeAll(async () => {
  database = await createTestDatabase();
  db = new Database({ url: database.url, maxConnections: 10, log });
  const query = db.query.bind(db);
  db.query = (statement, parameters) => {
    statements += 1;
    return query(statement, parameters);
  };
});
afterEach(() => {
  jest.restoreAllMocks();
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

/** The rate limits of one instance. */
function instance(
  { key = {}, endUser = {}, workspace = {} }: Partial<DefaultLimits>,
  windowMs = LONG_MS,
): RateLimits {
  return new RateLimits({
    rateLimitWindows: new RateLimitRepository(db),
    inFlight: new InFlightRepository(db),
    defaults: { key, endUser, workspace },
    windowMs,
    log,
  });
}

const isAdmitted = (limits: RateLimits, caller: Caller): Promise<boolean> =>
  limits.countRequests(caller, 1).then(
    () => true,
    (error: unknown) => {
      if (error instanceof RateLimited) return false;
      throw error;
    },
  );

/** Sends concurrent requests to each instance and returns how many were admitted in total. */
async function countAdmitted(
  instances: readonly RateLimits[],
  caller: Caller,
  requestsPerInstance: number,
): Promise<number> {
  const admissions = instances.flatMap((limits) =>
    Array.from({ length: requestsPerInstance }, () => isAdmitted(limits, caller)),
  );
  return (await Promise.all(admissions)).filter(Boolean).length;
}

test('a generation that is not admitted because PostgreSQL is unavailable does not count', async () => {
  const unreachable = new Database({ url: 'postgresql://nobody@127.0.0.1:1/none', maxConnections: 1, log });
  const limits = new RateLimits({
    rateLimitWindows: new RateLimitRepository(db),
    inFlight: new InFlightRepository(unreachable),
    defaults: { key: { generationsPerMinute: 3 }, endUser: {}, workspace: {} },
    windowMs: LONG_MS,
    log,
  });
  const caller = callerWith();
  const limited = { ...caller, limits: { ...caller.limits, generationsInFlight: 1 } };
  for (let time = 0; time < 3; time += 1)
    await expect(limits.admitGeneration(limited, newId())).rejects.toMatchObject({
      code: 'DATABASE_UNAVAILABLE',
    });
  for (let time = 0; time < 3; time += 1) await limits.admitGeneration(caller, newId());
  await expect(limits.admitGeneration(caller, newId())).rejects.toBeInstanceOf(RateLimited);
  await unreachable.close();
});

describe('a limit of 1,000 requests', () => {
  const limited = { key: { requestsPerMinute: 1_000 } };

  test('admits 950 to 1,000 concurrent requests to two instances, with at most one query in ten requests', async () => {
    const [caller, both] = [callerWith(), [instance(limited), instance(limited)]];
    statements = 0;
    const admitted = await countAdmitted(both, caller, 2_000);
    expect(admitted).toBeGreaterThanOrEqual(950);
    expect(admitted).toBeLessThanOrEqual(1_000);
    expect(statements).toBeLessThanOrEqual(110);
    statements = 0;
    expect(await countAdmitted(both, caller, 500)).toBe(0);
    expect(statements).toBe(0);
  });

  test('admits as many if five other instances have taken a chunk and become idle', async () => {
    const caller = callerWith();
    for (const idle of Array.from({ length: 5 }, () => instance(limited)))
      await idle.countRequests(caller, 1);
    const admitted = 5 + (await countAdmitted([instance(limited)], caller, 2_000));
    expect(admitted).toBeGreaterThanOrEqual(950);
    expect(admitted).toBeLessThanOrEqual(1_000);
  });

  test('applies to each API key separately and reports its status', async () => {
    const limits = instance(limited);
    const [one, other] = [callerWith(), callerWith()];
    for (let time = 0; time < 250; time += 1) await limits.countRequests(one, 1);
    const status = await limits.countRequests(one, 3);
    expect(status).toMatchObject({ limit: 1_000, cost: 3, remaining: 747 });
    await expect(limits.countRequests(other, 1)).resolves.toMatchObject({ remaining: 999 });
    await expect(instance(limited).countRequests(one, 1)).resolves.toMatchObject({ limit: 1_000 });
  });
});

test('a small limit is exact on two instances', async () => {
  const both = [instance({ key: { requestsPerMinute: 7 } }), instance({ key: { requestsPerMinute: 7 } })];
  await expect(countAdmitted(both, callerWith(), 50)).resolves.toBe(7);
});

test("a key's own limit overrides the default, and null keeps the default", async () => {
  const limits = instance({ key: { requestsPerMinute: 5 } });
  await expect(countAdmitted([limits], callerWith({ limits: { requestsPerMinute: 2 } }), 10)).resolves.toBe(
    2,
  );
  await expect(
    countAdmitted([limits], callerWith({ limits: { requestsPerMinute: null } }), 10),
  ).resolves.toBe(5);
});

test("a client token's limit affects neither its API key nor other tokens", async () => {
  const limits = instance({});
  const key = callerWith({ limits: { requestsPerMinute: 10 } });
  const [one, other] = [newId(), newId()].map((id) => ({
    ...key,
    clientToken: { id, limits: { requestsPerMinute: 2 } },
  }));
  await expect(countAdmitted([limits], one as Caller, 5)).resolves.toBe(2);
  await expect(countAdmitted([limits], key, 3)).resolves.toBe(3);
  await expect(countAdmitted([limits], other as Caller, 5)).resolves.toBe(2);
  await expect(countAdmitted([limits], key, 10)).resolves.toBe(3);
});

test('workspace, key and end user limits apply together, and a rejection by one uses up none of the others', async () => {
  const limits = instance({
    key: { requestsPerMinute: 20 },
    endUser: { requestsPerMinute: 5 },
    workspace: { requestsPerMinute: 30 },
  });
  const workspaceId = newId();
  const [keyId, otherKeyId] = [newId(), newId()];
  const ann = callerWith({ workspaceId, keyId, endUserId: 'ann' });
  await expect(countAdmitted([limits], ann, 15)).resolves.toBe(5);
  await expect(countAdmitted([limits], callerWith({ workspaceId, keyId }), 40)).resolves.toBe(15);
  await expect(countAdmitted([limits], callerWith({ workspaceId, keyId: otherKeyId }), 40)).resolves.toBe(10);
});

test('a key that was replaced and its successor have one limit together', async () => {
  const limits = instance({ key: { requestsPerMinute: 20 } });
  const workspaceId = newId();
  const old = callerWith({ workspaceId });
  const successor = callerWith({ workspaceId, keyLineageId: old.keyLineageId });
  await expect(countAdmitted([limits], old, 15)).resolves.toBe(15);
  await expect(countAdmitted([limits], successor, 15)).resolves.toBe(5);
  const connections = callerWith({ ...successor, limits: { connections: 3 } });
  expect(limits.connectionLimitsOf(connections)).toEqual(
    limits.connectionLimitsOf({ ...connections, keyId: old.keyId }),
  );
});

describe('a window', () => {
  const limited = { key: { requestsPerMinute: 3 } };

  test('renews the whole limit on both instances when it ends, after the time that `retryAfterMs` announced', async () => {
    const caller = callerWith();
    const [one, other] = [instance(limited, 1_000), instance(limited, 1_000)];
    // Repeats the request, because the short window may end before the limit is reached.
    const rejection = await waitFor('a rejection', () =>
      one.countRequests(caller, 1).then(
        () => null,
        (error: unknown) => error as RateLimited,
      ),
    );
    expect(rejection.retryAfterMs).toBeGreaterThan(0);
    expect(rejection.retryAfterMs).toBeLessThanOrEqual(1_000);
    await waitFor('the next window on the other instance', () => isAdmitted(other, caller));
    await waitFor('the next window on this instance', () => isAdmitted(one, caller));
  });

  test('follows the clock of PostgreSQL, whatever the clock of an instance says', async () => {
    const caller = callerWith();
    const [right, wrong] = [
      instance({ key: { requestsPerMinute: 10 } }),
      instance({ key: { requestsPerMinute: 10 } }),
    ];
    const first = await right.countRequests(caller, 1);
    const now = Date.now();
    jest.spyOn(Date, 'now').mockImplementation(() => now + 7 * LONG_MS);
    const second = await wrong.countRequests(caller, 1);
    expect(second?.resetAt).toEqual(first?.resetAt);
    await expect(countAdmitted([wrong, right], caller, 20)).resolves.toBe(8);
  });
});

test('every request is admitted while PostgreSQL is unavailable, and counting resumes afterwards', async () => {
  const limits = instance({ key: { requestsPerMinute: 2 } });
  const caller = callerWith();
  const query = jest.spyOn(db, 'query').mockRejectedValue(new Error('unavailable'));
  await expect(countAdmitted([limits], caller, 10)).resolves.toBe(10);
  query.mockRestore();
  await expect(countAdmitted([limits], caller, 10)).resolves.toBe(2);
});
