import { expect, test } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { DatabaseUnavailable, NotFound } from '../../../src/core/errors.js';
import { MAX_FAULT_MS, RenderingFaults } from '../../../src/graphql/events/rendering-faults.js';

const resultWith = (originalError: Error) => ({ errors: [new GraphQLError('why', { originalError })] });
const clean = { data: {} };
const fault = new Error('a fault');

let time = 0;
const newFaults = () => new RenderingFaults(() => time);
const failing = resultWith(fault);

test('an event with an unexpected error is rendered again, but not for ever', () => {
  const faults = newFaults();
  expect(() => faults.check(1n, failing)).toThrow(fault);
  time += MAX_FAULT_MS - 1;
  expect(() => faults.check(1n, failing)).toThrow(fault);
  time += 1;
  expect(() => faults.check(1n, failing)).not.toThrow();
});

test('many subscribers that try at the same time do not shorten the wait', () => {
  const faults = newFaults();
  for (let tries = 0; tries < 1_000; tries += 1) expect(() => faults.check(1n, failing)).toThrow(fault);
});

test('events after one that was given up do not wait for the same fault', () => {
  const faults = newFaults();
  expect(() => faults.check(1n, failing)).toThrow(fault);
  time += MAX_FAULT_MS;
  faults.check(1n, failing);
  expect(() => faults.check(2n, failing)).not.toThrow();
});

test('other events of the same batch do not let one wait longer', () => {
  const faults = newFaults();
  for (let step = 0; step < 2; step += 1) {
    expect(() => faults.check(1n, failing)).toThrow(fault);
    faults.check(2n, clean);
    time += MAX_FAULT_MS / 2;
  }
  expect(() => faults.check(1n, failing)).not.toThrow();
});

test('an outage is waited for however long it takes, and does not count', () => {
  const faults = newFaults();
  const outage = resultWith(new DatabaseUnavailable());
  for (let step = 0; step < 3; step += 1) {
    expect(() => faults.check(1n, outage)).toThrow(DatabaseUnavailable);
    time += MAX_FAULT_MS;
  }
  expect(() => faults.check(1n, failing)).toThrow(fault);
});

test('an expected error is sent at once', () => {
  expect(() => newFaults().check(1n, resultWith(new NotFound('why')))).not.toThrow();
});

test("an error of a caller's argument is sent at once", () => {
  const originalError = new GraphQLError('Argument "first" of non-null type "Int!" must not be null.');
  expect(() => newFaults().check(1n, resultWith(originalError))).not.toThrow();
});
