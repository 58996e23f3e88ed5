import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { FAULT_KINDS } from './faults/registry.js';
import { type StoreName } from './store.js';

/** Command-line options. */
export interface ChaosOptions {
  /** Determines the load, the faults and their times, but not how the machine behaves. */
  seed: number;
  /** How long tasks are created and faults are started. */
  seconds: number;
  /** Tasks per second. Null for the program's own choice. */
  rate: number | null;
  instances: number;
  /** The kinds of faults. By default all of them. */
  kinds: readonly string[];
  store: StoreName;
  /** Keeps the temporary folder with the logs. */
  keep: boolean;
}

/** Its message is for the user. */
export class InvalidOption extends Error {}

/** Parses the command line. */
export function readOptions(args: readonly string[], defaults: Pick<ChaosOptions, 'seconds'>): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      seconds: { type: 'string', default: String(defaults.seconds) },
      rate: { type: 'string' },
      instances: { type: 'string', default: '3' },
      faults: { type: 'string' },
      store: { type: 'string', default: 's3' },
      keep: { type: 'boolean', default: false },
    },
  });
  return {
    seed: values.seed === undefined ? randomInt(1_000_000) : number('seed', values.seed, 0, 2 ** 31),
    seconds: number('seconds', values.seconds, 5, 7_200),
    rate: values.rate === undefined ? null : number('rate', values.rate, 0.1, 100),
    // At least two. With one, stopping an instance would stop the service.
    instances: number('instances', values.instances, 2, 10),
    kinds: values.faults === undefined ? FAULT_KINDS : values.faults.split(',').map(existingKind),
    store: storeName(values.store),
    keep: values.keep,
  };
}

function existingKind(text: string): string {
  if (FAULT_KINDS.includes(text)) return text;
  throw new InvalidOption(`--faults has "${text}". Use some of: ${FAULT_KINDS.join(',')}.`);
}

function storeName(text: string): StoreName {
  if (text === 's3' || text === 'disk') return text;
  throw new InvalidOption(`--store is "${text}". Use s3 or disk.`);
}

function number(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= low && value <= high) return value;
  throw new InvalidOption(`--${name} is "${text}"; give a number from ${low} to ${high}.`);
}
