import { readFileSync } from 'node:fs';
import { expect } from '@jest/globals';

/** A body recorded from the real API. */
export function readSample(name: string): unknown {
  const url = new URL(`../../contract/samples/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8')) as unknown;
}

/** Fields whose types vary between recorded samples. Each is checked by a rule of its own instead of the sample. */
const VARYING_FIELDS: Readonly<Record<string, (value: unknown) => boolean>> = {
  seed: (value) => ['undefined', 'number', 'string'].includes(typeof value),
  timings: (value) =>
    typeof value === 'number' || typeof (value as { inference?: unknown })?.inference === 'number',
  /** Echoes the client's request. */
  request: (value) =>
    typeof (value as { action?: unknown }).action === 'string' &&
    typeof (value as { prompt?: unknown }).prompt === 'string',
};

/**
 * Expects exactly the fields of the sample, with values of the same types. A list may have any length. Each of its items is
 * compared with the first item of the sample.
 */
export function expectShape(actual: unknown, sampleName: string): void {
  expect({ name: sampleName, differences: findDifferences(actual, readSample(sampleName), 'body') }).toEqual({
    name: sampleName,
    differences: [],
  });
}

function findDifferences(actual: unknown, expected: unknown, path: string): string[] {
  if (typeName(actual) !== typeName(expected))
    return [`${path} is ${typeName(actual)}, not ${typeName(expected)}`];
  if (Array.isArray(expected)) {
    const items = actual as unknown[];
    return items.flatMap((item, index) => findDifferences(item, expected[0], `${path}.${index}`));
  }
  if (typeName(expected) !== 'object') return [];
  const actualObject = actual as Record<string, unknown>;
  const expectedObject = expected as Record<string, unknown>;
  const names = new Set([...Object.keys(actualObject), ...Object.keys(expectedObject)]);
  return [...names].flatMap((field) => {
    const matches = VARYING_FIELDS[field];
    if (matches) return matches(actualObject[field]) ? [] : [`${path}.${field} has an unknown shape`];
    return findDifferences(actualObject[field], expectedObject[field], `${path}.${field}`);
  });
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'list' : typeof value;
}
