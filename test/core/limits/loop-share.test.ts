import { describe, expect, jest, test } from '@jest/globals';
import { buildSchema } from 'graphql';
import { type WorkOwner } from '../../../src/core/limits/work-owner.js';
import { RateLimited } from '../../../src/core/errors.js';
import { LoopShare } from '../../../src/core/limits/loop-share.js';
import { LoopTurns } from '../../../src/core/limits/loop-turns.js';
import { OperationCache } from '../../../src/graphql/server/operation-cache.js';
import { waitFor } from '../../support/wait-for.js';

const OPTIONS = { share: 0.1, burstMs: 0, shareInAll: 0.1, burstInAllMs: 0, busyMessage: 'Too much waits.' };
const WORKSPACE = ownerOf('a workspace');

/** What comes after the slash is an end user. */
function ownerOf(name: string): WorkOwner {
  const [workspaceId = '', endUserId = null] = name.split('/');
  return { workspaceId, endUserId };
}

/** Work that takes so long. */
function spinFor(ms: number) {
  return () => {
    const end = performance.now() + ms;
    while (performance.now() < end);
  };
}

describe('the share of the event loop', () => {
  test('is kept by work that asks for more', async () => {
    const share = new LoopShare(OPTIONS);
    const start = performance.now();
    await Promise.all([1, 2, 3].map(() => share.run(WORKSPACE, () => null, 10)));
    expect(performance.now() - start).toBeGreaterThanOrEqual(195);
  });

  test('lets work begin at once after a pause, as long as its burst lasts', async () => {
    const share = new LoopShare({ ...OPTIONS, burstMs: 60, burstInAllMs: 60 });
    const order: string[] = [];
    // More than may wait.
    const works = Array.from({ length: 50 }, () => share.run(WORKSPACE, () => order.push('work'), 1));
    order.push('what follows');
    await Promise.all(works);
    expect(order).toEqual([...Array<string>(50).fill('work'), 'what follows']);
  });

  test('lets others in between long work, even in a burst', async () => {
    const share = new LoopShare({ ...OPTIONS, burstMs: 1_000, burstInAllMs: 1_000 });
    const order: string[] = [];
    const spin = spinFor(20);
    const work = () => {
      spin();
      order.push('work');
    };
    const works = [share.run(WORKSPACE, work), share.run(ownerOf('another workspace'), work)];
    setImmediate(() => order.push('a request'));
    await Promise.all(works);
    expect(order).toEqual(['work', 'a request', 'work']);
  });

  test('lets others in between long work of two kinds, each with a burst of its own', async () => {
    const options = { ...OPTIONS, burstMs: 1_000, burstInAllMs: 1_000 };
    const turns = new LoopTurns();
    const shares = [new LoopShare(options, turns), new LoopShare(options, turns)];
    const order: string[] = [];
    const spin = spinFor(20);
    const works = shares.map((share) =>
      share.run(WORKSPACE, () => {
        spin();
        order.push('work');
      }),
    );
    setImmediate(() => order.push('a request'));
    await Promise.all(works);
    expect(order).toEqual(['work', 'a request', 'work']);
  });

  test('is taken in turns by two kinds, also when one of them always has long work', async () => {
    const options = { ...OPTIONS, share: 1, shareInAll: 1 };
    const turns = new LoopTurns();
    const [hostile, honest] = [new LoopShare(options, turns), new LoopShare(options, turns)];
    const order: string[] = [];
    const works = Array.from({ length: 6 }, () =>
      hostile.run(ownerOf('hostile'), () => {
        spinFor(10)();
        order.push('hostile');
      }),
    );
    const mine = Array.from({ length: 2 }, () => honest.run(WORKSPACE, () => order.push('mine')));
    await Promise.all([...works, ...mine]);
    // The first one did not have to wait.
    expect(order.slice(0, 5)).toEqual(['hostile', 'hostile', 'mine', 'hostile', 'mine']);
  });

  test('is given to many short pieces in one turn of the loop', async () => {
    const share = new LoopShare({ ...OPTIONS, burstMs: 1_000, burstInAllMs: 1_000 }, new LoopTurns());
    const long = share.run(WORKSPACE, spinFor(10));
    let turn = 0;
    let isDone = false;
    const countTurn = () => {
      turn += 1;
      if (!isDone) setImmediate(countTurn);
    };
    const turns = new Set<number>();
    const works = Array.from({ length: 50 }, () => share.run(WORKSPACE, () => turns.add(turn)));
    setImmediate(countTurn);
    await Promise.all([long, ...works]);
    isDone = true;
    expect(turns.size).toBeLessThan(25);
  });

  test('is not kept from others because a piece was interrupted for long', async () => {
    const share = new LoopShare({ ...OPTIONS, share: 0.01, shareInAll: 0.01 }, new LoopTurns());
    const clock = jest.spyOn(performance, 'now');
    const start = performance.now();
    // The process is suspended for an hour in the middle of the work.
    await share.run(WORKSPACE, () => void clock.mockReturnValue(start + 3_600_000));
    clock.mockReturnValue(start + 3_601_000);
    let hasRun = false;
    void share.run(WORKSPACE, () => (hasRun = true));
    clock.mockRestore();
    expect(hasRun).toBe(true);
  });

  test('is left to a workspace whose work rests while another one waits for its own', async () => {
    const share = new LoopShare({ ...OPTIONS, shareInAll: 0.5, burstMs: 20, burstInAllMs: 1_000 });
    const hostile = [1, 2, 3].map(() => share.run(ownerOf('hostile'), spinFor(40)));
    await hostile[1];
    // The third one waits for more than 300 ms.
    const start = performance.now();
    await share.run(WORKSPACE, () => null);
    expect(performance.now() - start).toBeLessThan(200);
    await Promise.all(hostile);
  });

  test('refuses nothing that only waits for the rest after long work', async () => {
    const share = new LoopShare({ ...OPTIONS, burstMs: 1_000, burstInAllMs: 1_000 });
    const first = share.run(WORKSPACE, spinFor(20));
    const works = Array.from({ length: 60 }, () => share.run(WORKSPACE, () => 'done'));
    await first;
    expect(await Promise.all(works)).toEqual(Array<string>(60).fill('done'));
  });

  test('refuses what is beyond its limit when the line has used up the burst', async () => {
    const share = new LoopShare({ ...OPTIONS, burstMs: 50, burstInAllMs: 1_000, shareInAll: 1 });
    const first = share.run(WORKSPACE, spinFor(10));
    const works = Array.from({ length: 60 }, () => share.run(WORKSPACE, () => 'done', 10));
    const outcomes = Promise.allSettled(works);
    await first;
    const start = performance.now();
    const refused = (await outcomes).filter(({ status }) => status === 'rejected');
    // Some in the burst, and 16 that wait for 100 ms each.
    expect(refused.length).toBeGreaterThanOrEqual(35);
    expect(performance.now() - start).toBeLessThan(4_000);
  });

  test('refuses work when too much waits, and takes it again later', async () => {
    const share = new LoopShare(OPTIONS);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 30 }, () => share.run(WORKSPACE, () => 'done', 2)),
    );
    const refused = outcomes.filter((each) => each.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(30);
    for (const { reason } of refused) expect(reason).toEqual(new RateLimited('Too much waits.', 5_000));
    expect(await share.run(WORKSPACE, () => 'done')).toBe('done');
  });

  test('lets as many of a workspace wait as it is set to', async () => {
    const share = new LoopShare({ ...OPTIONS, maxWaitingPerWorkspace: 4 });
    const works = Array.from({ length: 30 }, () => share.run(WORKSPACE, () => null, 2));
    const outcomes = await Promise.allSettled(works);
    // The first one did not wait.
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(5);
  });

  test('is taken in turns: a workspace that sends much makes no other wait for all of it, nor be refused', async () => {
    const share = new LoopShare(OPTIONS);
    const order: string[] = [];
    const run = (name: string) => share.run(ownerOf(name), () => order.push(name), 1);
    const works = [...Array<string>(16).fill('hostile'), 'one', 'other', 'one'].map(run);
    await Promise.all(works);
    expect(order.slice(0, 6).sort()).toEqual(['hostile', 'hostile', 'hostile', 'one', 'one', 'other']);
    expect(order).toHaveLength(19);
  });

  // Enforces MAX_WAITING_PER_WORKSPACE in src/core/limits/loop-share.ts.
  test('is taken in turns within a workspace as well: an end user that sends much makes no other wait, nor be refused', async () => {
    const share = new LoopShare(OPTIONS);
    const order: string[] = [];
    let refused = 0;
    const run = (name: string) =>
      share.run(ownerOf(name), () => order.push(name), 1).catch(() => (refused += 1));
    const works = [...Array<string>(20).fill('shared/hostile'), 'shared/honest', 'shared', 'shared'].map(run);
    await Promise.all(works);
    const [, ...next] = order;
    expect(next.slice(0, 5)).toEqual([
      ...['shared/hostile', 'shared/honest', 'shared', 'shared/hostile', 'shared'],
    ]);
    // The first one did not wait, and 16 may.
    expect([order.length, refused]).toEqual([17, 6]);
  });

  test('leaves a place to an end user when all that may wait is of another one, in one workspace', async () => {
    const share = new LoopShare({ ...OPTIONS, maxWaiting: 10, maxWaitingPerWorkspace: 10 });
    const names = [...Array<string>(11).fill('shared/hostile'), 'shared/honest', 'shared/hostile'];
    const works = names.map((name) => share.run(ownerOf(name), () => name, 1));
    const ends = (await Promise.allSettled(works)).map(({ status }) => status);
    expect(ends).toEqual([...Array<string>(10).fill('fulfilled'), 'rejected', 'fulfilled', 'rejected']);
  });

  test('lets few of many workspaces wait, and those that have most waiting are refused first', async () => {
    const share = new LoopShare({ ...OPTIONS, maxWaiting: 20 });
    const ends: Record<string, string[]> = { first: [], second: [], third: [] };
    const run = (workspaceId: string) =>
      share
        .run(ownerOf(workspaceId), () => 'done', 1)
        .catch(() => 'refused')
        .then((end) => ends[workspaceId]?.push(end));
    const works = [
      ...Array.from({ length: 17 }, () => run('first')),
      ...Array.from({ length: 16 }, () => run('second')),
      run('third'),
    ];
    await Promise.all(works);
    const doneOf = (workspaceId: string) => ends[workspaceId]?.filter((end) => end === 'done').length;
    // The first one did not wait.
    expect(['first', 'second', 'third'].map(doneOf)).toEqual([10, 10, 1]);
  });

  // Enforces MAX_WAITING in src/core/limits/loop-share.ts.
  test('lets 128 of all workspaces wait by default', async () => {
    const share = new LoopShare(OPTIONS);
    const works = Array.from({ length: 160 }, (_, n) => share.run(ownerOf(`${n % 10}`), () => null, 1));
    const outcomes = await Promise.allSettled(works);
    // The first one did not wait.
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(129);
  });

  test('goes on after work that throws', async () => {
    const share = new LoopShare(OPTIONS);
    const failing = share.run(WORKSPACE, () => {
      throw new Error('not this time');
    });
    await expect(failing).rejects.toThrow('not this time');
    expect(await share.run(WORKSPACE, () => 'done')).toBe('done');
  });
});

describe('documents', () => {
  const schema = buildSchema('type Query { color: String }');
  const limits = {
    ...{ tokens: 6_000, depth: 15, aliases: 2_000, directives: 30, rootFields: 2_000 },
    ...{ listSize: 1_000, cost: 10_000 },
  };
  /** A document of its own, which takes long. */
  const large = (name: string) =>
    `query ${name} { ${Array.from({ length: 1_900 }, (_, n) => `c${n}: color`).join(' ')} }`;

  test('that are equal are parsed once, however many are sent at once', async () => {
    const operations = new OperationCache(schema, { limits, introspection: true });
    const queries = Array.from({ length: 40 }, (_, n) => large(`q${n % 2}`));
    const prepared = await Promise.all(queries.map((query) => operations.prepare({ query }, WORKSPACE)));
    const documents = new Set(prepared.map((each) => ('errors' in each ? null : each.document)));
    expect(documents.size).toBe(2);
    expect(documents.has(null)).toBe(false);
  });

  test('of an end user wait, and neither delay new ones of others in its workspace for long nor keep them out', async () => {
    const operations = new OperationCache(schema, { limits, introspection: true });
    const ends: string[] = [];
    for (let n = 0; n < 200; n += 1)
      operations.prepare({ query: large(`q${n}`) }, ownerOf('shared/hostile')).then(
        () => ends.push('prepared'),
        () => ends.push('refused'),
      );
    await waitFor('the line to be full', () => ends.includes('refused'));
    const before = ends.filter((end) => end === 'prepared').length;
    await operations.prepare({ query: 'query Other { color }' }, ownerOf('shared/honest'));
    expect(ends.filter((end) => end === 'prepared').length - before).toBeLessThan(4);
  });

  // Enforces MAX_WAITING_INTROSPECTIONS in src/graphql/server/operation-cache.ts.
  test('that introspect wait in a shorter line, and do not delay others', async () => {
    const operations = new OperationCache(schema, { limits, introspection: true });
    // Documents that read the schema may have few aliases. One that only names it waits with them.
    const introspecting = (n: number) => `${large(`q${n}`)} # __schema`;
    let waiting = 0;
    let refused = 0;
    // Fewer than may wait of all workspaces.
    for (let n = 0; n < 100; n += 1) {
      waiting += 1;
      operations
        .prepare({ query: introspecting(n) }, WORKSPACE)
        .catch(() => (refused += 1))
        .finally(() => (waiting -= 1));
    }
    await waitFor('refusals', () => refused > 0);
    expect(waiting).toBeLessThanOrEqual(4);
    await operations.prepare({ query: 'query Other { color }' }, WORKSPACE);
    expect(waiting).toBeGreaterThan(0);
  });

  test('that a workspace has not sent before wait, and delay neither those that are known nor other workspaces', async () => {
    const operations = new OperationCache(schema, { limits, introspection: true });
    const prepare = (query: string, workspaceId: string) =>
      operations.prepare({ query }, ownerOf(workspaceId));
    await prepare('{ color }', 'hostile');
    const refusals: unknown[] = [];
    let prepared = 0;
    for (let n = 0; n < 400; n += 1)
      prepare(large(`q${n}`), 'hostile').then(
        () => (prepared += 1),
        (error: unknown) => refusals.push(error),
      );
    await prepare('{ color }', 'hostile');
    await prepare('query Other { color }', 'another');
    expect(400 - prepared - refusals.length).toBeGreaterThan(0);
    await waitFor('refusals', () => refusals.length >= 100);
    expect(refusals.filter((error) => !(error instanceof RateLimited))).toEqual([]);
    expect(prepared).toBeLessThan(400);
  });
});
