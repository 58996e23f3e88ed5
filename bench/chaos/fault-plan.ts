import { FAULT_KINDS, FAULTS } from './faults/registry.js';
import { SeededStream } from './random.js';

/** A scheduled fault. */
export interface PlannedFault {
  kind: string;
  /** Milliseconds after the start of the load. */
  atMs: number;
}

/** A fault that happened. Times are Unix milliseconds of the clock that PostgreSQL uses too. */
export interface Fault {
  kind: string;
  startedAt: number;
  /** When the cause was gone: processes continue, connections work again, PostgreSQL accepts connections. */
  endedAt: number;
}

/** Average time between faults in a storm. Most last longer than that, so that faults overlap. */
const INTERVAL_MS = 3_000;
/** Storms alternate with calms, in which undisturbed recovery can be measured. */
const STORM_MS = 15_000;
const CALM_MS = 10_000;

/**
 * Schedules the faults of a run in proportion to the weights, in an order determined by the seed. Each kind happens at least
 * once, unless the run is too short for that many. Then the seed chooses the kinds.
 */
export function planFaults(seed: number, seconds: number, allowed = FAULT_KINDS): PlannedFault[] {
  const random = new SeededStream(seed, 'faults');
  const waveMs = STORM_MS + CALM_MS;
  const waves = Math.floor((seconds * 1000) / waveMs);
  const stormyMs = waves * STORM_MS + Math.min(STORM_MS, seconds * 1000 - waves * waveMs);
  const count = Math.max(1, Math.round(stormyMs / INTERVAL_MS));
  const kinds = random.shuffle(chooseKinds(count, allowed, random));
  return kinds.map((kind, index) => {
    const stormOffsetMs = ((index + random.fraction()) / kinds.length) * stormyMs;
    return { kind, atMs: Math.round(stormOffsetMs + Math.floor(stormOffsetMs / STORM_MS) * CALM_MS) };
  });
}

function chooseKinds(count: number, allowed: readonly string[], random: SeededStream): string[] {
  const spare = count - allowed.length;
  if (spare <= 0) return random.shuffle(allowed).slice(0, count);
  const faults = FAULTS.filter(({ kind }) => allowed.includes(kind));
  const sum = faults.reduce((total, { weight }) => total + weight, 0);
  return faults.flatMap(({ kind, weight }) =>
    Array.from({ length: 1 + Math.round((weight / sum) * spare) }, () => kind),
  );
}
