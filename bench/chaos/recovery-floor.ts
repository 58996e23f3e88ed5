import { type TaskEventRow } from './evidence.js';
import { type Fault } from './fault-plan.js';
import { findFault } from './faults/registry.js';
import { mergeIntervals } from './recovery.js';

/**
 * The longest time from the end of an outage of PostgreSQL until it answered a bare client, in seconds: what the machine, the
 * network and PostgreSQL take. The service cannot recover faster. `answerTimes` are in ascending order.
 */
export function measureAnswerTime(faults: readonly Fault[], answerTimes: readonly number[]): number {
  const outages = mergeIntervals(faults.filter(({ kind }) => findFault(kind).outageOf === 'postgres'));
  const floors = outages.map(({ to }, index) => {
    const answeredAt = answerTimes.find((at) => at >= to);
    const next = outages[index + 1];
    // The next outage says more.
    if (answeredAt === undefined || (next && answeredAt > next.from)) return 0;
    return (answeredAt - to) / 1_000;
  });
  return Math.max(0, ...floors);
}

const WINDOW_MS = 5_000;

/**
 * Images that all instances together stored per second, in the five seconds with the most. After a fault, as many images as had
 * piled up must be stored at this rate at most, on a machine that also runs the upstream and the store.
 */
export function measureStoringRate(events: ReadonlyMap<string, readonly TaskEventRow[]>): number {
  const times = [...events.values()]
    .flat()
    .filter(({ type }) => type === 'IMAGE_STORED')
    .map(({ at }) => at)
    .sort((a, b) => a - b);
  let first = 0;
  let most = 0;
  times.forEach((at, index) => {
    while ((times[first] ?? at) <= at - WINDOW_MS) first += 1;
    most = Math.max(most, index - first + 1);
  });
  return most / (WINDOW_MS / 1_000);
}
