import { median, rounded } from './bench.js';
import { type LoadProcess, type Stretch } from './load.js';

export interface Sides<Side> {
  ours: Side;
  floor: Side;
}

/** Runs both sides in turns, the one that begins changing each round: what else the machine does hits both. */
export async function inTurns(
  sides: Sides<LoadProcess>,
  rounds: number,
  secondsEach: number,
): Promise<Sides<Stretch[]>> {
  const done: Sides<Stretch[]> = { ours: [], floor: [] };
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? (['ours', 'floor'] as const) : (['floor', 'ours'] as const);
    for (const side of order) done[side].push(await sides[side].run(secondsEach));
  }
  return done;
}

/** Ours divided by the floor, round by round. */
export function ratiosOf({ ours, floor }: Sides<Stretch[]>): number[] {
  return ours.map(({ perSecond }, round) => perSecond / (floor[round]?.perSecond ?? NaN));
}

/** The median of the rounds. */
export function perSecondOf(stretches: Stretch[]): number {
  return rounded(median(stretches.map((stretch) => stretch.perSecond)));
}

/** A table: calls per second by round, their median, and the median latencies. */
export function roundsTable(names: Sides<string>, done: Sides<Stretch[]>): string[][] {
  const ratios = ratiosOf(done);
  const numbers = ratios.map((_, round) => String(round + 1));
  return [
    ['round', ...numbers, 'median', 'p50 ms', 'p99 ms'],
    rowOf(names.ours, done.ours),
    rowOf(names.floor, done.floor),
    ['ratio', ...[...ratios, median(ratios)].map((ratio) => ratio.toFixed(2)), '', ''],
  ];
}

function rowOf(name: string, stretches: Stretch[]): string[] {
  return [
    name,
    ...stretches.map((stretch) => stretch.perSecond.toFixed(0)),
    String(perSecondOf(stretches)),
    median(stretches.map(({ p50Ms }) => p50Ms)).toFixed(1),
    median(stretches.map(({ p99Ms }) => p99Ms)).toFixed(1),
  ];
}
