import { afterAll, afterEach, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { type Caller } from '../../../src/core/access/caller.js';
import { RateLimited } from '../../../src/core/errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Limits } from '../../../src/core/limits/limits.js';
import { Allowances } from '../../../src/db/limits/rate-limit-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { Flights } from '../../../src/db/limits/in-flight-repository.js';
import { RateLimits } from '../../../src/services/limits/rate-limits.js';
import { callerWith } from '../../support/access/callers.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const log = pino({ level: 'silent' });
/** No window ends during a test, unless it is its subject. */
const LONG_MS = 24 * 3_600_000;

let database: TestDatabase;
let db: Database;
let statements = 0;
beforeAll(async () => {
  database = await createTestDatabase();
  db = new Database({ url: database.url, maxConnections: 10, log });
  const run = db.run.bind(db);
  db.run = (statement, values) => {
    statements += 1;
    return run(statement, values);
  };
});
afterEach(() => {
  jest.restoreAllMocks();
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

interface Wanted {
  key?: Limits;
  endUser?: Limits;
  workspace?: Limits;
}

/** What counts in one instance. */
function instance({ key = {}, endUser = {}, workspace = {} }: Wanted, windowMs = LONG_MS): RateLimits {
  return new RateLimits(new Allowances(db), new Flights(db), { key, endUser, workspace }, windowMs, log);
}

const isAdmitted = (limits: RateLimits, who: Caller): Promise<boolean> =>
  limits.admitRequests(who, 1).then(
    () => true,
    (error: unknown) => {
      if (error instanceof RateLimited) return false;
      throw error;
    },
  );

async function countAdmitted(of: readonly RateLimits[], who: Caller, each: number): Promise<number> {
  const all = of.flatMap((limits) => Array.from({ length: each }, () => isAdmitted(limits, who)));
  return (await Promise.all(all)).filter(Boolean).length;
}

describe('a limit of 1,000 requests', () => {
  const limited = { key: { requestsPerMinute: 1_000 } };

  test('lets 950 to 1,000 pass that hammer two instances, and asks Postgres for one in ten at most', async () => {
    const [who, both] = [callerWith(), [instance(limited), instance(limited)]];
    statements = 0;
    const admitted = await countAdmitted(both, who, 2_000);
    expect(admitted).toBeGreaterThanOrEqual(950);
    expect(admitted).toBeLessThanOrEqual(1_000);
    expect(statements).toBeLessThanOrEqual(110);
    statements = 0;
    expect(await countAdmitted(both, who, 500)).toBe(0);
    expect(statements).toBe(0);
  });

  test('lets as many pass when five instances have taken their share and ask no more', async () => {
    const who = callerWith();
    for (const idle of Array.from({ length: 5 }, () => instance(limited))) await idle.admitRequests(who, 1);
    const admitted = 5 + (await countAdmitted([instance(limited)], who, 2_000));
    expect(admitted).toBeGreaterThanOrEqual(950);
    expect(admitted).toBeLessThanOrEqual(1_000);
  });

  test('is of each key by itself, and tells how it stands', async () => {
    const limits = instance(limited);
    const [one, other] = [callerWith(), callerWith()];
    for (let time = 0; time < 250; time += 1) await limits.admitRequests(one, 1);
    const standing = await limits.admitRequests(one, 3);
    expect(standing).toMatchObject({ limit: 1_000, cost: 3, remaining: 747 });
    await expect(limits.admitRequests(other, 1)).resolves.toMatchObject({ remaining: 999 });
    await expect(instance(limited).admitRequests(one, 1)).resolves.toMatchObject({ limit: 1_000 });
  });
});

test('a small limit is exact over two instances', async () => {
  const both = [instance({ key: { requestsPerMinute: 7 } }), instance({ key: { requestsPerMinute: 7 } })];
  await expect(countAdmitted(both, callerWith(), 50)).resolves.toBe(7);
});

test("a key's own limit comes before the default, and null takes none away", async () => {
  const limits = instance({ key: { requestsPerMinute: 5 } });
  await expect(countAdmitted([limits], callerWith({ limits: { requestsPerMinute: 2 } }), 10)).resolves.toBe(
    2,
  );
  await expect(
    countAdmitted([limits], callerWith({ limits: { requestsPerMinute: null } }), 10),
  ).resolves.toBe(5);
});

test("a token's limit is its own: neither its key nor another token is refused by it", async () => {
  const limits = instance({});
  const key = callerWith({ limits: { requestsPerMinute: 10 } });
  const [one, other] = [newId(), newId()].map((id) => ({
    ...key,
    token: { id, limits: { requestsPerMinute: 2 } },
  }));
  await expect(countAdmitted([limits], one as Caller, 5)).resolves.toBe(2);
  await expect(countAdmitted([limits], key, 3)).resolves.toBe(3);
  await expect(countAdmitted([limits], other as Caller, 5)).resolves.toBe(2);
  await expect(countAdmitted([limits], key, 10)).resolves.toBe(3);
});

test('limits of workspace, key and end user hold together: what one refuses is not used up of another', async () => {
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

describe('a window', () => {
  const second = { key: { requestsPerMinute: 3 } };

  test('that is over gives everything again, on both instances, and was told in advance', async () => {
    const both = [instance(second, 1_000), instance(second, 1_000)] as const;
    const who = callerWith();
    const [one, other] = both;
    // In one window, whose length is short: perhaps the first try meets its end.
    const refusal = await waitFor('a refusal', () =>
      one.admitRequests(who, 1).then(
        () => null,
        (error: unknown) => error as RateLimited,
      ),
    );
    expect(refusal.retryAfterMs).toBeGreaterThan(0);
    expect(refusal.retryAfterMs).toBeLessThanOrEqual(1_000);
    await waitFor('the next window', () => isAdmitted(other, who));
    await waitFor('the next window here', () => isAdmitted(one, who));
  });

  test('is that of Postgres, however wrong the clock of an instance is', async () => {
    const who = callerWith();
    const [right, wrong] = [
      instance({ key: { requestsPerMinute: 10 } }),
      instance({ key: { requestsPerMinute: 10 } }),
    ];
    const first = await right.admitRequests(who, 1);
    const now = Date.now();
    jest.spyOn(Date, 'now').mockImplementation(() => now + 7 * LONG_MS);
    const second = await wrong.admitRequests(who, 1);
    expect(second?.resetAt).toEqual(first?.resetAt);
    await expect(countAdmitted([wrong, right], who, 20)).resolves.toBe(8);
  });
});

test('while Postgres is away nobody is refused, and counting goes on when it is back', async () => {
  const limits = instance({ key: { requestsPerMinute: 2 } });
  const who = callerWith();
  const run = jest.spyOn(db, 'run').mockRejectedValue(new Error('away'));
  await expect(countAdmitted([limits], who, 10)).resolves.toBe(10);
  run.mockRestore();
  await expect(countAdmitted([limits], who, 10)).resolves.toBe(2);
});
