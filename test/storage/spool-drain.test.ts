import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { DatabaseUnavailable } from '../../src/core/errors.js';
import { newId } from '../../src/core/primitives/ids.js';
import { Spool } from '../../src/storage/spool.js';
import { SpoolDrain } from '../../src/storage/spool-drain.js';
import { waitFor } from '../support/wait-for.js';

test('a value whose statement always takes too long does not keep the values of other tasks from being applied', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'darkroom-drain-'));
  const spool = new Spool(folder);
  const taskIds = Array.from({ length: 20 }, () => newId());
  for (const id of taskIds) await spool.write(`${id}-1`, { id });
  const stuck = new Set(taskIds.slice(0, 5));
  const applied = new Set<string>();
  const drain = new SpoolDrain({
    spool,
    log: pino({ level: 'silent' }),
    subject: 'a test',
    apply: (value) => {
      const { id } = value as { id: string };
      if (stuck.has(id)) return Promise.reject(new DatabaseUnavailable());
      applied.add(id);
      return Promise.resolve();
    },
  });
  await drain.load();
  await waitFor('the others', () => applied.size === taskIds.length - stuck.size);
  await waitFor('their files to be removed', () => drain.state.waiting === stuck.size);
  await drain.stop();
  await rm(folder, { recursive: true });
}, 60_000);

test('a file that has vanished is logged', async () => {
  const lines: string[] = [];
  const drain = new SpoolDrain({
    spool: new Spool(join(tmpdir(), newId())),
    log: pino({}, { write: (line: string) => lines.push(line) }),
    subject: 'a test',
    apply: () => Promise.reject(new Error('there is nothing to apply')),
  });
  const name = `${newId()}-1`;
  drain.addFailed(name, new Error('a cause'));
  await waitFor('the file to be forgotten', () => drain.state.failed === 0);
  expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
    { name, msg: 'a file in the spool could not be applied' },
    { name, msg: 'a file in the spool has vanished' },
  ]);
  await drain.stop();
});

describe('a value that could not be applied', () => {
  /** Before its third try, a value waits for ten seconds. */
  const SOON = { timeoutMs: 8_000 };
  const releases: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const release of releases.splice(0)) await release();
  });

  /** A drain of values that are applied by `apply`, and a value that has failed twice. */
  async function drainWithFailed(apply: (name: string) => Promise<void>) {
    const folder = await mkdtemp(join(tmpdir(), 'darkroom-drain-'));
    const spool = new Spool(folder);
    const tries = new Map<string, number>();
    const drain = new SpoolDrain({
      spool,
      log: pino({ level: 'silent' }),
      subject: 'a test',
      apply: async (value) => {
        const { name } = value as { name: string };
        tries.set(name, (tries.get(name) ?? 0) + 1);
        await apply(name);
      },
    });
    releases.push(async () => {
      await drain.stop();
      await rm(folder, { recursive: true });
    });
    const keep = (name: string) => drain.keep(`${newId()}-1`, { name });
    await keep('first');
    await waitFor('the second failure', () => tries.get('first') === 2);
    return { drain, keep, tries };
  }

  test('is applied soon after another one is', async () => {
    let isBroken = true;
    const { drain, keep } = await drainWithFailed(() =>
      isBroken ? Promise.reject(new Error('a cause')) : Promise.resolve(),
    );
    isBroken = false;
    await keep('second');
    await waitFor('both', () => drain.state.failed === 0 && drain.state.waiting === 0, SOON);
  });

  test('is applied soon after a value is applied that was never in the spool', async () => {
    let isBroken = true;
    const { drain } = await drainWithFailed(() =>
      isBroken ? Promise.reject(new Error('a cause')) : Promise.resolve(),
    );
    isBroken = false;
    drain.noteApplied();
    await waitFor('the value', () => drain.state.failed === 0, SOON);
  });

  test('is applied soon after an outage, even if nothing else can be applied', async () => {
    let error: Error | null = new Error('a cause');
    const { keep, drain, tries } = await drainWithFailed((name) =>
      error
        ? Promise.reject(error)
        : name === 'second'
          ? Promise.reject(new Error('damaged'))
          : Promise.resolve(),
    );
    error = new DatabaseUnavailable();
    await keep('second');
    await waitFor('the outage', () => tries.has('second'));
    error = null;
    await waitFor('the first value', () => drain.state.failed === 1 && drain.state.waiting === 0, SOON);
  });

  test('is not tried again after each value that is applied', async () => {
    const { drain, keep, tries } = await drainWithFailed((name) =>
      name === 'first' ? Promise.reject(new Error('damaged')) : Promise.resolve(),
    );
    for (let count = 0; count < 3; count += 1) {
      await keep(`other ${count}`);
      await waitFor('the other value', () => tries.has(`other ${count}`));
      drain.noteApplied();
      await drain.applyWaiting();
    }
    expect(tries.get('first')).toBeLessThanOrEqual(3);
  });

  test('is tried again even if others fail all the time', async () => {
    const { drain, tries } = await drainWithFailed((name) =>
      (tries.get(name) ?? 0) < 3 ? Promise.reject(new Error('a cause')) : Promise.resolve(),
    );
    drain.noteApplied();
    await waitFor(
      'the third try',
      () => {
        drain.addFailed(`${newId()}-1`, new Error('a cause'));
        return tries.get('first') === 3;
      },
      SOON,
    );
  });
});
