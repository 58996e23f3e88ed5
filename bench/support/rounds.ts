import { median, roundTo } from './bench.js';
import { type LoadProcess, type LoadResult } from './load.js';

export interface Comparison<Side> {
  ours: Side;
  floor: Side;
}

/** Alternates both sides, and which one goes first, so that other load on the machine affects both. */
export async function runAlternately(
  sides: Comparison<LoadProcess>,
  rounds: number,
  secondsEach: number,
): Promise<Comparison<LoadResult[]>> {
  const results: Comparison<LoadResult[]> = { ours: [], floor: [] };
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? (['ours', 'floor'] as const) : (['floor', 'ours'] as const);
    for (const side of order) results[side].push(await sides[side].run(secondsEach));
  }
  return results;
}

/** The service's rate divided by the floor's, for each round. */
export function ratiosByRound({ ours, floor }: Comparison<LoadResult[]>): number[] {
  return ours.map(({ perSecond }, round) => perSecond / (floor[round]?.perSecond ?? NaN));
}

/** The median rate of the rounds. */
export function medianPerSecond(results: LoadResult[]): number {
  return roundTo(median(results.map(({ perSecond }) => perSecond)));
}

/** A table with the calls per second of each round, their median, and the median latencies. */
export function roundsTable(names: Comparison<string>, results: Comparison<LoadResult[]>): string[][] {
  const ratios = ratiosByRound(results);
  const numbers = ratios.map((_, round) => String(round + 1));
  return [
    ['round', ...numbers, 'median', 'p50 ms', 'p99 ms'],
    resultRow(names.ours, results.ours),
    resultRow(names.floor, results.floor),
    ['ratio', ...[...ratios, median(ratios)].map((ratio) => ratio.toFixed(2)), '', ''],
  ];
}

function resultRow(name: string, results: LoadResult[]): string[] {
  return [
    name,
    ...results.map(({ perSecond }) => perSecond.toFixed(0)),
    String(medianPerSecond(results)),
    median(results.map(({ p50Ms }) => p50Ms)).toFixed(1),
    median(results.map(({ p99Ms }) => p99Ms)).toFixed(1),
  ];
}
