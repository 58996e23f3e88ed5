import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { ConnectionPlaces } from '../../../src/db/limits/connection-slot-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { type ConnectionLimit, ConnectionLimits } from '../../../src/services/limits/connection-limits.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

const log = pino({ level: 'silent' });
/** Nobody counts as dead during a test, unless that is its subject. */
const LONG_MS = 3_600_000;
const SHORT_MS = 1_500;

let database: TestDatabase;
const ends: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  database = await createTestDatabase();
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const end of ends.splice(0).reverse()) await end();
  await database.drop();
});

/** What counts connections in one instance, with a pool of its own. */
class Counting {
  readonly db = new Database({ url: database.url, maxConnections: 4, log });
  private readonly limits: ConnectionLimits;
  private readonly leaves: (() => void)[] = [];

  constructor(leaseMs = LONG_MS) {
    this.limits = new ConnectionLimits(new ConnectionPlaces(this.db), leaseMs, log);
    ends.push(() => this.stop());
  }

  async opens(...limits: ConnectionLimit[]): Promise<boolean> {
    const leave = await this.limits.open(limits);
    if (typeof leave === 'function') this.leaves.push(leave);
    return typeof leave === 'function';
  }

  /** How many of so many that come at once are let in. */
  async open(count: number, ...limits: ConnectionLimit[]): Promise<number> {
    const all = await Promise.all(Array.from({ length: count }, () => this.opens(...limits)));
    return all.filter(Boolean).length;
  }

  close(count: number): void {
    for (const leave of this.leaves.splice(0, count)) leave();
  }

  async stop(): Promise<void> {
    await this.limits.stop();
    await this.db.close();
  }
}

const of = (limit: number, name = 'key'): ConnectionLimit => ({ name, limit });
const sum = (counts: readonly number[]) => counts.reduce((one, other) => one + other, 0);

describe('over several instances', () => {
  test.each([1, 3, 100, 200])('%d connections are exactly as many as are let in', async (limit) => {
    const both = [new Counting(), new Counting()];
    const opened = await Promise.all(both.map((one) => one.open(limit, of(limit))));
    expect(sum(opened)).toBe(limit);
    expect(sum(await Promise.all(both.map((one) => one.open(5, of(limit)))))).toBe(0);
  });

  test('of 1,000 connections 950 to 1,000 are let in, also when five instances have one each', async () => {
    const idle = Array.from({ length: 5 }, () => new Counting());
    for (const one of idle) expect(await one.opens(of(1_000))).toBe(true);
    const busy = new Counting();
    const run = jest.spyOn(busy.db, 'run');
    let opened = 5;
    for (let time = 0; time < 2_000; time += 1) opened += (await busy.opens(of(1_000))) ? 1 : 0;
    expect(opened).toBeGreaterThanOrEqual(950);
    expect(opened).toBeLessThanOrEqual(1_000);
    // One for each 0.5 % of the limit, and one for each that is refused.
    const takes = run.mock.calls.filter(([{ name }]) => name === 'hold-connections');
    expect(takes.length).toBeLessThanOrEqual(201 + (2_000 - opened) + 10);
  });

  test('those that come at once cost a few statements, however many limits they have', async () => {
    const one = new Counting();
    const run = jest.spyOn(one.db, 'run');
    const users = Array.from({ length: 300 }, (_, user) => of(20, `user ${user}`));
    const opened = await Promise.all(users.map((user) => one.opens(user, of(250, 'workspace'))));
    expect(opened.filter(Boolean)).toHaveLength(250);
    const takes = run.mock.calls.filter(([{ name }]) => name === 'hold-connections');
    expect(takes.length).toBeLessThanOrEqual(12);
  });

  test('what is closed on one is free for another, and another subject has its own', async () => {
    const [one, other] = [new Counting(), new Counting()];
    expect(await one.open(3, of(3))).toBe(3);
    expect(await other.opens(of(3))).toBe(false);
    expect(await other.opens(of(3, 'another'))).toBe(true);
    one.close(2);
    await waitFor('the place', () => other.opens(of(3)));
    expect(await other.open(5, of(3))).toBe(1);
  });

  test('who is refused by the narrower limit takes nothing of the wider one', async () => {
    const [one, other] = [new Counting(), new Counting()];
    expect(await one.open(30, of(1, 'end user'), of(5, 'workspace'))).toBe(1);
    expect(await other.open(10, of(5, 'workspace'))).toBe(4);
  });
});

describe('the places of an instance', () => {
  test('that stops are free at once', async () => {
    const [one, other] = [new Counting(), new Counting()];
    expect(await one.open(3, of(3))).toBe(3);
    await one.stop();
    ends.splice(0, 1);
    expect(await other.open(5, of(3))).toBe(3);
  });

  test('that was killed are free when its lease has ended', async () => {
    const [one, other] = [new Counting(SHORT_MS), new Counting(SHORT_MS)];
    expect(await one.open(3, of(3))).toBe(3);
    // It holds them for as long as it beats.
    await beaten(one, 8);
    expect(await other.opens(of(3))).toBe(false);
    await one.db.close();
    const first = await waitFor('a place', () => other.opens(of(3)));
    expect([first, await other.open(5, of(3))]).toEqual([true, 2]);
  });

  test('that was given up, and lives, count again', async () => {
    const [one, other] = [new Counting(SHORT_MS), new Counting(SHORT_MS)];
    expect(await one.open(2, of(3))).toBe(2);
    const run = jest.spyOn(one.db, 'run').mockRejectedValue(new Error('away'));
    await waitFor('a place of it', () => other.opens(of(3)));
    await waitFor('another', () => other.opens(of(3)));
    await waitFor('the removal of its row', async () => {
      const holders = await other.db.run({ name: 'holders', text: 'SELECT FROM connection_holders' }, []);
      return holders.length === 1;
    });
    run.mockRestore();
    const counted = (sum: number) =>
      waitFor(`${sum} places`, async () => {
        const text = 'SELECT coalesce(sum(places), 0)::int AS sum FROM connection_places';
        const [row] = await other.db.run<{ sum: number }>({ name: 'sum', text }, []);
        return row?.sum === sum;
      });
    await counted(4);
    other.close(2);
    await counted(2);
    expect(await other.open(3, of(3))).toBe(1);
  });
});

describe('while Postgres is away', () => {
  test('nobody is refused, and who was let in counts when it is back', async () => {
    const [one, other] = [new Counting(SHORT_MS), new Counting(SHORT_MS)];
    const run = jest.spyOn(one.db, 'run').mockRejectedValue(new Error('away'));
    expect(await one.open(6, of(3))).toBe(6);
    run.mockRestore();
    await waitFor('it to be counted', async () => {
      const isLetIn = await other.opens(of(3));
      if (isLetIn) other.close(1);
      return !isLetIn;
    });
    one.close(4);
    await waitFor('a place', () => other.opens(of(3)));
    expect(await other.open(3, of(3))).toBe(0);
  });

  test('and does not even answer, nobody waits for long', async () => {
    const one = new Counting();
    expect(await one.opens(of(3))).toBe(true);
    const locker = new Counting();
    let release = () => {};
    const released = new Promise<void>((resolve) => (release = resolve));
    let done = Promise.resolve();
    await new Promise<void>((locked) => {
      done = locker.db.transaction(async (query) => {
        await query('LOCK TABLE connection_places IN ACCESS EXCLUSIVE MODE', []);
        locked();
        await released;
      });
    });
    expect(await one.open(5, of(3))).toBe(5);
    release();
    await done;
    await waitFor('the count', async () => !(await one.opens(of(3))));
  });
});

/** So many beats later. */
async function beaten({ db }: Counting, times: number): Promise<void> {
  const run = jest.spyOn(db, 'run');
  const beats = () => run.mock.calls.filter(([{ name }]) => name === 'beat-of-holder').length;
  await waitFor('beats', () => beats() >= times);
  run.mockRestore();
}
