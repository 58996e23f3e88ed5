import { SeededStream } from './random.js';

/** Faults of the processes and of the connections between them. `report.ts` describes them. */
export const FAULT_KINDS = [
  'kill',
  'freeze',
  'terminate',
  'postgres',
  'readonly',
  'silent',
  'refusing',
  'upstream',
  'burst',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];
/** During one of these, no task can progress. */
export const OUTAGES: readonly FaultKind[] = ['postgres', 'readonly', 'silent', 'refusing', 'upstream'];

/** A scheduled fault. */
export interface PlannedFault {
  kind: FaultKind;
  /** Milliseconds after the start of the load. */
  atMs: number;
}

/** A fault that happened. Times are Unix milliseconds of the clock that PostgreSQL uses too. */
export interface Fault {
  kind: FaultKind;
  startedAt: number;
  /**
   * When the cause was gone: processes continue, connections work again, PostgreSQL accepts connections. A kill ends at once,
   * because the other instances can take over immediately.
   */
  endedAt: number;
}

/** Average time between faults in a storm. Most last longer than that, so that faults overlap. */
const INTERVAL_MS = 2_000;
/** Storms alternate with calms, in which undisturbed recovery can be measured. */
const STORM_MS = 15_000;
const CALM_MS = 10_000;
/** Relative frequency of each kind. Faults that block the whole service are rare, or a run would consist of waiting. */
const WEIGHTS: Record<FaultKind, number> = {
  kill: 14,
  freeze: 8,
  terminate: 8,
  postgres: 3,
  readonly: 3,
  silent: 3,
  refusing: 3,
  upstream: 2,
  burst: 5,
};

/** Schedules the faults of a run: each kind at least once, in proportion to the weights, in an order determined by the seed. */
export function planFaults(seed: number, seconds: number): PlannedFault[] {
  const random = new SeededStream(seed, 'faults');
  const waveMs = STORM_MS + CALM_MS;
  const waves = Math.floor((seconds * 1000) / waveMs);
  const stormyMs = waves * STORM_MS + Math.min(STORM_MS, seconds * 1000 - waves * waveMs);
  const count = Math.max(FAULT_KINDS.length, Math.round(stormyMs / INTERVAL_MS));
  const sum = Object.values(WEIGHTS).reduce((total, weight) => total + weight, 0);
  const kinds = FAULT_KINDS.flatMap((kind) =>
    Array.from({ length: Math.max(1, Math.round((WEIGHTS[kind] / sum) * count)) }, () => kind),
  );
  return random.shuffle(kinds).map((kind, index) => {
    const stormOffsetMs = ((index + random.fraction()) / kinds.length) * stormyMs;
    return { kind, atMs: Math.round(stormOffsetMs + Math.floor(stormOffsetMs / STORM_MS) * CALM_MS) };
  });
}
