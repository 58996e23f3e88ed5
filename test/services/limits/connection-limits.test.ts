import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { TooManyConnections } from '../../../src/core/errors.js';
import { ConnectionSlotRepository } from '../../../src/db/limits/connection-slot-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { statement } from '../../../src/db/postgres/statement.js';
import { type ConnectionLimit, ConnectionLimits } from '../../../src/services/limits/connection-limits.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const log = pino({ level: 'silent' });
/** No lease expires during a test that uses this length. */
const LONG_LEASE_MS = 3_600_000;
const SHORT_LEASE_MS = 1_500;

let database: TestDatabase;
const cleanups: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const cleanUp of cleanups.splice(0).reverse()) await cleanUp();
  await database.drop();
});

/** The connection limits of one instance, with a database pool of its own. */
class Instance {
  readonly db = new Database({ url: database.url, maxConnections: 4, log });
  private readonly limits: ConnectionLimits;
  private readonly releases: (() => void)[] = [];

  constructor(leaseMs = LONG_LEASE_MS) {
    this.limits = new ConnectionLimits({ slots: new ConnectionSlotRepository(this.db), leaseMs, log });
    cleanups.push(() => this.stop());
  }

  /** Opens a connection. False when a limit rejects it. */
  async open(...limits: ConnectionLimit[]): Promise<boolean> {
    try {
      this.releases.push(await this.limits.acquire(limits));
      return true;
    } catch (error) {
      if (error instanceof TooManyConnections) return false;
      throw error;
    }
  }

  /** Opens connections concurrently and returns how many were admitted. */
  async openMany(count: number, ...limits: ConnectionLimit[]): Promise<number> {
    const admissions = await Promise.all(Array.from({ length: count }, () => this.open(...limits)));
    return admissions.filter(Boolean).length;
  }

  close(count: number): void {
    for (const release of this.releases.splice(0, count)) release();
  }

  async stop(): Promise<void> {
    await this.limits.stop();
    await this.db.close();
  }
}

const limitOf = (limit: number, subject = 'key'): ConnectionLimit => ({ subject, label: subject, limit });
const sum = (counts: readonly number[]) => counts.reduce((one, other) => one + other, 0);

describe('on several instances', () => {
  test.each([1, 3, 100, 200])('a limit of %d connections is exact', async (limit) => {
    const instances = [new Instance(), new Instance()];
    const opened = await Promise.all(instances.map((instance) => instance.openMany(limit, limitOf(limit))));
    expect(sum(opened)).toBe(limit);
    const more = await Promise.all(instances.map((instance) => instance.openMany(5, limitOf(limit))));
    expect(sum(more)).toBe(0);
  });

  test('a limit of 1,000 connections admits at least 950, also if five instances have one connection each', async () => {
    const idle = Array.from({ length: 5 }, () => new Instance());
    for (const instance of idle) expect(await instance.open(limitOf(1_000))).toBe(true);
    const busy = new Instance();
    const query = jest.spyOn(busy.db, 'query');
    let opened = 5;
    for (let time = 0; time < 2_000; time += 1) opened += (await busy.open(limitOf(1_000))) ? 1 : 0;
    expect(opened).toBeGreaterThanOrEqual(950);
    expect(opened).toBeLessThanOrEqual(1_000);
    // One statement for each 0.5 % of the limit, and one for each rejected connection.
    const adjustments = query.mock.calls.filter(([{ name }]) => name === 'adjust-connection-slots');
    expect(adjustments.length).toBeGreaterThan(0);
    expect(adjustments.length).toBeLessThanOrEqual(201 + (2_000 - opened) + 10);
  });

  test('concurrent connections need only a few statements, however many limits they have', async () => {
    const instance = new Instance();
    const query = jest.spyOn(instance.db, 'query');
    const users = Array.from({ length: 300 }, (_, user) => limitOf(20, `user ${user}`));
    const opened = await Promise.all(users.map((user) => instance.open(user, limitOf(250, 'workspace'))));
    expect(opened.filter(Boolean)).toHaveLength(250);
    const adjustments = query.mock.calls.filter(([{ name }]) => name === 'adjust-connection-slots');
    expect(adjustments.length).toBeGreaterThan(0);
    expect(adjustments.length).toBeLessThanOrEqual(12);
  });

  test('a slot that one instance releases is available to another, and each subject has its own slots', async () => {
    const [one, other] = [new Instance(), new Instance()];
    expect(await one.openMany(3, limitOf(3))).toBe(3);
    expect(await other.open(limitOf(3))).toBe(false);
    expect(await other.open(limitOf(3, 'another'))).toBe(true);
    one.close(2);
    await waitFor('a free slot', () => other.open(limitOf(3)));
    expect(await other.openMany(5, limitOf(3))).toBe(1);
  });

  test('a connection that the narrower limit rejects takes no slot of the wider one', async () => {
    const [one, other] = [new Instance(), new Instance()];
    expect(await one.openMany(30, limitOf(1, 'end user'), limitOf(5, 'workspace'))).toBe(1);
    expect(await other.openMany(10, limitOf(5, 'workspace'))).toBe(4);
  });
});

describe('the slots of an instance', () => {
  test('are free at once when it stops', async () => {
    const [one, other] = [new Instance(), new Instance()];
    expect(await one.openMany(3, limitOf(3))).toBe(3);
    await one.stop();
    cleanups.splice(0, 1);
    expect(await other.openMany(5, limitOf(3))).toBe(3);
  });

  test('are free when its lease expires after it was killed', async () => {
    const [one, other] = [new Instance(SHORT_LEASE_MS), new Instance(SHORT_LEASE_MS)];
    expect(await one.openMany(3, limitOf(3))).toBe(3);
    // It keeps its slots as long as it renews its lease.
    await waitForRenewals(one, 8);
    expect(await other.open(limitOf(3))).toBe(false);
    await one.db.close();
    const first = await waitFor('a free slot', () => other.open(limitOf(3)));
    expect([first, await other.openMany(5, limitOf(3))]).toEqual([true, 2]);
  });

  test('count again when it returns after its lease was deleted', async () => {
    const [one, other] = [new Instance(SHORT_LEASE_MS), new Instance(SHORT_LEASE_MS)];
    expect(await one.openMany(2, limitOf(3))).toBe(2);
    const query = jest.spyOn(one.db, 'query').mockRejectedValue(new Error('unavailable'));
    await waitFor('one of its slots', () => other.open(limitOf(3)));
    await waitFor('another one', () => other.open(limitOf(3)));
    await waitFor('the deletion of its lease', async () => {
      const leases = await other.db.query(statement('leases', 'SELECT FROM connection_leases'), {});
      return leases.length === 1;
    });
    query.mockRestore();
    const countSlots = statement<object, { count: number }>(
      'count-slots',
      'SELECT coalesce(sum(slots), 0)::int AS count FROM connection_slots',
    );
    const waitForSlots = (count: number) =>
      waitFor(`${count} slots`, async () => {
        const [row] = await other.db.query(countSlots, {});
        return row?.count === count;
      });
    await waitForSlots(4);
    other.close(2);
    await waitForSlots(2);
    expect(await other.openMany(3, limitOf(3))).toBe(1);
  });
});

describe('while PostgreSQL is unavailable', () => {
  test('every connection is admitted, and counts when PostgreSQL is back', async () => {
    const [one, other] = [new Instance(SHORT_LEASE_MS), new Instance(SHORT_LEASE_MS)];
    const query = jest.spyOn(one.db, 'query').mockRejectedValue(new Error('unavailable'));
    expect(await one.openMany(6, limitOf(3))).toBe(6);
    query.mockRestore();
    await waitFor('the connections to count', async () => {
      const isAdmitted = await other.open(limitOf(3));
      if (isAdmitted) other.close(1);
      return !isAdmitted;
    });
    one.close(4);
    await waitFor('a free slot', () => other.open(limitOf(3)));
    expect(await other.openMany(3, limitOf(3))).toBe(0);
  });

  test('connections do not wait for long, also if it does not respond at all', async () => {
    const one = new Instance();
    expect(await one.open(limitOf(3))).toBe(true);
    const locker = new Instance();
    let release = () => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    let done = Promise.resolve();
    await new Promise<void>((locked) => {
      done = locker.db.transaction(async (query) => {
        await query(statement('lock-slots', 'LOCK TABLE connection_slots IN ACCESS EXCLUSIVE MODE'), {});
        locked();
        await released;
      });
    });
    expect(await one.openMany(5, limitOf(3))).toBe(5);
    release();
    await done;
    await waitFor('the connections to count', async () => !(await one.open(limitOf(3))));
  });
});

/** Waits until the instance has renewed its lease a number of times. */
async function waitForRenewals({ db }: Instance, count: number): Promise<void> {
  const query = jest.spyOn(db, 'query');
  const renewals = () => query.mock.calls.filter(([{ name }]) => name === 'renew-connection-lease').length;
  await waitFor(`${count} renewals`, () => renewals() >= count);
  query.mockRestore();
}
