import { expect, test } from '@jest/globals';
import { planFaults } from '../../bench/chaos/fault-plan.js';
import { FAULT_KINDS, FAULTS, findFault } from '../../bench/chaos/faults/registry.js';

test('every kind of fault has a name and a title of its own, and a weight', () => {
  expect(new Set(FAULT_KINDS).size).toBe(FAULTS.length);
  expect(new Set(FAULTS.map(({ title }) => title)).size).toBe(FAULTS.length);
  expect(FAULTS.filter(({ weight }) => !(weight > 0))).toEqual([]);
});

test('terminating connections is always possible, because it replaces faults that are not', () => {
  expect(findFault('terminate')).not.toHaveProperty('stopsInstance');
  expect(findFault('terminate')).not.toHaveProperty('reasonLeftOut');
});

test('an unknown kind is refused with the known ones', () => {
  expect(() => findFault('meteor')).toThrow(/Unknown kind of fault "meteor". Use one of: kill, /);
});

test('equal seeds plan equal faults, and other seeds plan others', () => {
  expect(planFaults(7, 100)).toEqual(planFaults(7, 100));
  expect(planFaults(7, 100)).not.toEqual(planFaults(8, 100));
});

test.each([1, 2, 3])('a run of the usual length has each kind at least once (seed %d)', (seed) => {
  const planned = new Set(planFaults(seed, 150).map(({ kind }) => kind));
  expect([...planned].sort()).toEqual([...FAULT_KINDS].sort());
});

test('a short run has a choice of kinds at the usual pace', () => {
  const plan = planFaults(1, 15);
  expect(plan).toHaveLength(5);
  expect(new Set(plan.map(({ kind }) => kind)).size).toBe(5);
});

test('faults come in storms of 15 s with 10 s between them', () => {
  for (const { atMs } of planFaults(3, 100)) {
    expect(atMs).toBeLessThan(100_000);
    expect(atMs % 25_000).toBeLessThanOrEqual(15_000);
  }
});
