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

/** Its message is for the user. */
export class InvalidOption extends Error {}

/** Parses the command line. */
export function readOptions(
  args: readonly string[],
  defaults: Pick<ChaosOptions, 'seconds' | 'rate'>,
): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seed: { type: 'string' },
      seconds: { type: 'string', default: String(defaults.seconds) },
      rate: { type: 'string', default: String(defaults.rate) },
      instances: { type: 'string', default: '3' },
      keep: { type: 'boolean', default: false },
    },
  });
  return {
    seed: values.seed === undefined ? randomInt(1_000_000) : number('seed', values.seed, 0, 2 ** 31),
    seconds: number('seconds', values.seconds, 5, 7_200),
    rate: number('rate', values.rate, 0.1, 100),
    // At least two. With one, stopping an instance would stop the service.
    instances: number('instances', values.instances, 2, 10),
    keep: values.keep,
  };
}

function number(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= low && value <= high) return value;
  throw new InvalidOption(`--${name} is "${text}"; give a number from ${low} to ${high}.`);
}
