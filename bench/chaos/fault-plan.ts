import { Random } from './random.js';

/** What can happen to the processes and the wires between them; `report.ts` has the words. */
export const FAULT_KINDS = ['kill', 'freeze', 'terminate', 'postgres', 'upstream', 'burst'] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** One fault that is to come. */
export interface PlannedFault {
  kind: FaultKind;
  /** Milliseconds after the load has begun. */
  atMs: number;
}

/** One fault that happened. Times are milliseconds since 1970, by the clock that Postgres has, too. */
export interface Fault {
  kind: FaultKind;
  startedAt: number;
  /**
   * When nothing was in the way any more: the processes go on, the wire is mended, Postgres takes connections. A killed
   * instance is not waited for: its kill ends as it happens, since the others are there to take over.
   */
  endedAt: number;
}

/** From one fault to the next in a storm, on average. Most last longer than that: faults meet each other. */
const INTERVAL_MS = 2_000;
/** Storms with calms between them: without those nobody could tell how long recovery takes when it is left in peace. */
const STORM_MS = 15_000;
const CALM_MS = 10_000;
/** How often each kind is dealt. What keeps everybody waiting is rare, or the run would consist of waiting. */
const WEIGHTS: Record<FaultKind, number> = {
  kill: 14,
  freeze: 8,
  terminate: 8,
  postgres: 3,
  upstream: 2,
  burst: 5,
};

/** The schedule of a run: each kind at least once, in the proportions of the weights, in an order that the seed decides. */
export function planFaults(seed: number, seconds: number): PlannedFault[] {
  const random = new Random(seed, 'faults');
  const waveMs = STORM_MS + CALM_MS;
  const waves = Math.floor((seconds * 1000) / waveMs);
  const stormyMs = waves * STORM_MS + Math.min(STORM_MS, seconds * 1000 - waves * waveMs);
  const count = Math.max(FAULT_KINDS.length, Math.round(stormyMs / INTERVAL_MS));
  const sum = Object.values(WEIGHTS).reduce((total, weight) => total + weight, 0);
  const dealt = FAULT_KINDS.flatMap((kind) =>
    Array.from({ length: Math.max(1, Math.round((WEIGHTS[kind] / sum) * count)) }, () => kind),
  );
  return random.shuffle(dealt).map((kind, index) => {
    const inStorms = ((index + random.fraction()) / dealt.length) * stormyMs;
    return { kind, atMs: Math.round(inStorms + Math.floor(inStorms / STORM_MS) * CALM_MS) };
  });
}
