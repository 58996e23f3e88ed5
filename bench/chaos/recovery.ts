import { type Evidence, type TaskEventRow } from './evidence.js';
import { type Fault } from './fault-plan.js';
import { FAULTS, findFault } from './faults/registry.js';

/** The longest recovery after faults of one kind. */
export interface Recovery {
  kind: string;
  faults: number;
  /** Tasks that were waiting when such a fault ended. A task counts once per fault. */
  stranded: number;
  /** Images of the tasks that were waiting when one fault ended, at most. */
  imagesWaitingMax: number;
  /** From the end of the fault, including delays by later faults. */
  secondsMax: number;
  /** From the end of the last fault before the task progressed. This is the recovery time without further faults. */
  undisturbedSecondsMax: number;
  /** The task that took longest. */
  slowest: string | null;
}

/**
 * Measures how long after the end of a fault the last stranded task progressed again, by the times of the events in PostgreSQL.
 *
 * A task is stranded by a fault if it was waiting for the service when the fault ended: it was QUEUED or SUBMITTING, it was
 * RUNNING although the upstream had finished it, or it had images that were not stored. It progressed with its next event.
 * This includes tasks that the fault did not affect and that would have progressed a moment later anyway. They do not
 * influence the maximum.
 *
 * Two kinds of tasks are excluded, because they do not wait for the service: UNCONFIRMED tasks, which only a callback or the
 * deadline can change, and RUNNING tasks whose callback is lost or delayed by a directive (the service reads those 8 s after
 * they were submitted). A callback lost by a fault does not exclude its task.
 *
 * There are two figures, because faults overlap: a task can be hit again before it has progressed, and it is impossible to tell
 * which fault delayed it. `secondsMax` starts at the first fault and includes the others. `undisturbedSecondsMax` starts at the
 * last one before the task progressed. It would be too favourable without pauses, so the schedule has calms of 10 s.
 *
 * Later outages of PostgreSQL and the upstream do not count, because no task can progress then. Everything else counts: later
 * kills and pauses, the service's own retry delays, and a busy machine.
 */
export function measureRecovery(faults: readonly Fault[], evidence: Evidence): Recovery[] {
  const outages = mergeIntervals(faults.filter(({ kind }) => findFault(kind).outageOf));
  return FAULTS.map(({ kind }) => {
    const recovery: Recovery = {
      kind,
      faults: 0,
      stranded: 0,
      imagesWaitingMax: 0,
      secondsMax: 0,
      undisturbedSecondsMax: 0,
      slowest: null,
    };
    for (const fault of faults.filter((each) => each.kind === kind)) {
      recovery.faults += 1;
      let imagesWaiting = 0;
      for (const { id, prompt, upstreamTaskId, requestedCount } of evidence.tasks) {
        const events = evidence.events.get(id) ?? [];
        const finishedAt = evidence.finishTimes.get(upstreamTaskId ?? '') ?? Infinity;
        const expectsCallback = !/callback=(lost|late)/.test(prompt);
        const isResultKnown = expectsCallback && finishedAt <= fault.endedAt;
        if (!isWaitingForService(events, fault.endedAt, isResultKnown)) continue;
        recovery.stranded += 1;
        imagesWaiting += requestedCount;
        const nextEvent = events.find(({ at }) => at > fault.endedAt);
        const since = (from: number) =>
          nextEvent ? (nextEvent.at - from - outageOverlapMs(outages, from, nextEvent.at)) / 1000 : Infinity;
        const lastFaultEndedAt = Math.max(
          fault.endedAt,
          ...faults.map(({ endedAt }) => endedAt).filter((at) => nextEvent && at < nextEvent.at),
        );
        recovery.undisturbedSecondsMax = Math.max(recovery.undisturbedSecondsMax, since(lastFaultEndedAt));
        const seconds = since(fault.endedAt);
        if (seconds <= recovery.secondsMax) continue;
        recovery.secondsMax = seconds;
        recovery.slowest = id;
      }
      recovery.imagesWaitingMax = Math.max(recovery.imagesWaitingMax, imagesWaiting);
    }
    return recovery;
  });
}

/** Whether the task was waiting for the service at `time`, according to its events so far. */
function isWaitingForService(
  events: readonly TaskEventRow[],
  time: number,
  isFinishedUpstream: boolean,
): boolean {
  let state: 'service' | 'running' | 'unconfirmed' | 'final' | null = null;
  let pendingImages = 0;
  for (const { type, at, deliveredCount } of events) {
    if (at > time) break;
    pendingImages += deliveredCount;
    if (type === 'TASK_REQUESTED' || type === 'SUBMIT_REJECTED') state = 'service';
    else if (type === 'TASK_SUBMITTED') state = 'running';
    else if (type === 'SUBMIT_UNCONFIRMED') state = 'unconfirmed';
    else if (type === 'IMAGE_STORED' || type === 'IMAGE_LOST') pendingImages -= 1;
    else if (type.startsWith('TASK_')) state = 'final';
  }
  return state === 'service' || (state === 'running' && isFinishedUpstream) || pendingImages > 0;
}

export interface Interval {
  from: number;
  to: number;
}

/** Merges overlapping intervals of the faults. */
export function mergeIntervals(faults: readonly Fault[]): Interval[] {
  const merged: Interval[] = [];
  for (const { startedAt: from, endedAt: to } of [...faults].sort((a, b) => a.startedAt - b.startedAt)) {
    const last = merged.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

function outageOverlapMs(outages: readonly Interval[], from: number, to: number): number {
  return outages.reduce(
    (sum, each) => sum + Math.max(0, Math.min(to, each.to) - Math.max(from, each.from)),
    0,
  );
}
