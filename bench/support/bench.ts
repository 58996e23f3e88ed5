import { arch, cpus, platform, totalmem } from 'node:os';
import { type RegisterRelease } from './releases.js';

/** A benchmark. Prints a table and, as the last line, its figures as one JSON object. */
export type Bench = (options: BenchOptions) => Promise<void>;

export interface BenchOptions {
  /** How long to measure, not including preparation. Undefined for the benchmark's default. */
  seconds: number | undefined;
  release: RegisterRelease;
}

/** Prints the title, date and machine. Figures of two machines cannot be compared, only their ratios. */
export function printHeader(title: string): void {
  const [cpu] = cpus();
  const memoryGb = Math.round(totalmem() / 1024 ** 3);
  console.log(title);
  console.log(
    `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${platform()} ${arch()}, ` +
      `${cpus().length} x ${cpu?.model.trim() ?? 'unknown processor'}, ${memoryGb} GB\n`,
  );
}

/** Prints a table. The first column is left-aligned, and the others are right-aligned. */
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

/** The median. For an even number of values, the upper of the middle two. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The value below which `fraction` (0 to 1) of the values lie. NaN for no values. */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? NaN;
}

/** Rounds to `digits` decimals. */
export function roundTo(value: number, digits = 0): number {
  return Number(value.toFixed(digits));
}
