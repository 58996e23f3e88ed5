import { arch, cpus, platform, totalmem } from 'node:os';
import { type OnRelease } from './releases.js';

/** One question. Prints its table, and its figures as one JSON object on the last line. */
export type Bench = (options: BenchOptions) => Promise<void>;

export interface BenchOptions {
  /** How long to measure, preparation not counted; absent: the default of the bench. */
  seconds: number | undefined;
  release: OnRelease;
}

/** When and where: figures of two machines cannot be compared, only their ratios. */
export function printOccasion(title: string): void {
  const [cpu] = cpus();
  const memoryGb = Math.round(totalmem() / 1024 ** 3);
  console.log(title);
  console.log(
    `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${platform()} ${arch()}, ` +
      `${cpus().length} x ${cpu?.model.trim() ?? 'unknown processor'}, ${memoryGb} GB\n`,
  );
}

/** Columns as wide as their longest cell; the first one aligned left, numbers right. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    const cells = row.map((cell, column) =>
      column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
    );
    console.log(cells.join('   '));
  }
  console.log();
}

/** The one in the middle; the upper one of two. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which `share` (0 to 1) of the values lie. NaN for none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN;
}

/** To `digits` places after the point, as a number for JSON. */
export function rounded(value: number, digits = 0): number {
  return Number(value.toFixed(digits));
}
