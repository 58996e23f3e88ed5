import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

/** Command-line options. */
export interface ChaosOptions {
  /** Determines the load, the faults and their times, but not how the machine behaves. */
  seed: number;
  /** How long tasks are created and faults are started. */
  seconds: number;
  /** Tasks per second. */
  rate: number;
  instances: number;
  /** Keeps the temporary folder with the logs. */
  keep: boolean;
}

/** Parses the command line. Throws an error with a message for the user. */
export function readOptions(args: readonly string[]): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      seconds: { type: 'string', default: '100' },
      rate: { type: 'string', default: '8' },
      instances: { type: 'string', default: '3' },
      keep: { type: 'boolean', default: false },
    },
  });
  return {
    seed: values.seed === undefined ? randomInt(1_000_000) : number('seed', values.seed, 0, 2 ** 31),
    seconds: number('seconds', values.seconds, 5, 3_600),
    rate: number('rate', values.rate, 0.1, 100),
    // At least two. With one, stopping an instance would stop the service.
    instances: number('instances', values.instances, 2, 10),
    keep: values.keep,
  };
}

function number(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= low && value <= high) return value;
  throw new Error(`--${name} is "${text}"; give a number from ${low} to ${high}.`);
}
