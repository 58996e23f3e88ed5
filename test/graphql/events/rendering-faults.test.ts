import { expect, test } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { DatabaseUnavailable, NotFound } from '../../../src/core/errors.js';
import { MAX_RENDERING_TRIES, RenderingFaults } from '../../../src/graphql/events/rendering-faults.js';

const resultWith = (originalError: Error) => ({ errors: [new GraphQLError('why', { originalError })] });
const clean = { data: {} };
const fault = new Error('a fault');

test('an event with an unexpected error is rendered again, but not for ever', () => {
  const faults = new RenderingFaults();
  for (let tries = 1; tries < MAX_RENDERING_TRIES; tries += 1)
    expect(() => faults.check(1n, resultWith(fault))).toThrow(fault);
  expect(() => faults.check(1n, resultWith(fault))).not.toThrow();
});

test('events after one that was given up do not wait for the same fault', () => {
  const faults = new RenderingFaults();
  for (let tries = 1; tries < MAX_RENDERING_TRIES; tries += 1)
    expect(() => faults.check(1n, resultWith(fault))).toThrow(fault);
  faults.check(1n, resultWith(fault));
  expect(() => faults.check(2n, resultWith(fault))).not.toThrow();
});

test('other events of the same batch do not let one wait longer', () => {
  const faults = new RenderingFaults();
  for (let tries = 1; tries < MAX_RENDERING_TRIES; tries += 1) {
    expect(() => faults.check(1n, resultWith(fault))).toThrow(fault);
    faults.check(2n, clean);
  }
  expect(() => faults.check(1n, resultWith(fault))).not.toThrow();
});

test('an outage is waited for however long it takes, and does not count', () => {
  const faults = new RenderingFaults();
  const outage = resultWith(new DatabaseUnavailable());
  for (let tries = 0; tries < 2 * MAX_RENDERING_TRIES; tries += 1)
    expect(() => faults.check(1n, outage)).toThrow(DatabaseUnavailable);
  expect(() => faults.check(1n, resultWith(fault))).toThrow(fault);
});

test('an expected error is sent at once', () => {
  expect(() => new RenderingFaults().check(1n, resultWith(new NotFound('why')))).not.toThrow();
});
