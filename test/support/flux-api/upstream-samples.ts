import { readFileSync } from 'node:fs';
import { expect } from '@jest/globals';

/** A body that the real API has sent. */
export function sample(name: string): unknown {
  const url = new URL(`../../contract/samples/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8')) as unknown;
}

/** What drifts: these are compared by what has been seen of them, not with the sample. */
const DRIFTING: Readonly<Record<string, (value: unknown) => boolean>> = {
  seed: (value) => ['undefined', 'number', 'string'].includes(typeof value),
  timings: (value) =>
    typeof value === 'number' || typeof (value as { inference?: unknown })?.inference === 'number',
  /** An echo: what a client finds in it is what it has sent. */
  request: (value) =>
    typeof (value as { action?: unknown }).action === 'string' &&
    typeof (value as { prompt?: unknown }).prompt === 'string',
};

/**
 * Expects the fields of the sample, no others, and the same kinds of values in them. A list may be longer or shorter;
 * each of its items is compared with the sample's first one.
 */
export function expectShape(actual: unknown, name: string): void {
  expect({ name, differences: differences(actual, sample(name), 'body') }).toEqual({ name, differences: [] });
}

function differences(actual: unknown, expected: unknown, path: string): string[] {
  if (kindOf(actual) !== kindOf(expected)) return [`${path} is ${kindOf(actual)}, not ${kindOf(expected)}`];
  if (Array.isArray(expected)) {
    const items = actual as unknown[];
    return items.flatMap((item, index) => differences(item, expected[0], `${path}.${index}`));
  }
  if (kindOf(expected) !== 'object') return [];
  const ours = actual as Record<string, unknown>;
  const theirs = expected as Record<string, unknown>;
  const names = new Set([...Object.keys(ours), ...Object.keys(theirs)]);
  return [...names].flatMap((field) => {
    const drifts = DRIFTING[field];
    if (drifts) return drifts(ours[field]) ? [] : [`${path}.${field} has no shape that was seen`];
    return differences(ours[field], theirs[field], `${path}.${field}`);
  });
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'list' : typeof value;
}
