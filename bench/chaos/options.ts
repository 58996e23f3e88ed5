import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';

/** What the command line can set. */
export interface ChaosOptions {
  /** Decides the load, the faults and when they come. What the machine makes of them is not decided. */
  seed: number;
  /** How long tasks are created and faults are started. */
  seconds: number;
  /** Tasks created in a second. */
  rate: number;
  instances: number;
  /** Leaves the temporary folder, with the logs, where it is. */
  keep: boolean;
}

/** Throws with what is wrong, in words for the one who typed it. */
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
    // Two at least: with one, every stop of an instance would be a stop of the service.
    instances: number('instances', values.instances, 2, 10),
    keep: values.keep,
  };
}

function number(name: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= low && value <= high) return value;
  throw new Error(`--${name} is "${text}"; give a number from ${low} to ${high}.`);
}
