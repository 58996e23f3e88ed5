import { type Fault } from './fault-plan.js';
import { findFault } from './faults/registry.js';
import { mergeIntervals } from './recovery.js';

/**
 * The longest time from the end of an outage of PostgreSQL until it answered a bare client, in seconds: what the machine, the
 * network and PostgreSQL take. The service cannot recover faster. `answerTimes` are in ascending order.
 */
export function measureRecoveryFloor(faults: readonly Fault[], answerTimes: readonly number[]): number {
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
