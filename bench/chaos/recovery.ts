import { type Evidence, type EventRow } from './evidence.js';
import { type Fault, type FaultKind } from './fault-plan.js';

/** The longest recovery after a kind of fault. */
export interface Recovery {
  kind: FaultKind;
  faults: number;
  /** Tasks that were found waiting at the end of one, each counted once a fault. */
  stranded: number;
  /** From the end of the fault, through whatever later faults did to the same tasks. */
  secondsMax: number;
  /** From the end of the last fault before the task moved: what is left when nothing new gets in the way. */
  undisturbedSecondsMax: number;
  /** The task that took longest. */
  slowest: string | null;
}

/** Faults of processes and wires. A 429 burst is a refusal that says when to come back: nobody is stranded by it. */
const MEASURED: readonly FaultKind[] = ['kill', 'freeze', 'terminate', 'postgres', 'upstream'];
/** While one of these lasts, nobody can move anything, however quick he is. */
const OUTAGES: readonly FaultKind[] = ['postgres', 'upstream'];

/**
 * How long after the end of a fault the last task that it stranded moved again, by the times of the events in Postgres.
 *
 * Stranded by a fault is every task that waited for the service, and not for anybody else, at the moment when the fault
 * ended: one that was QUEUED or SUBMITTING, one that was RUNNING although the upstream had finished it, and one with
 * pictures that were not stored. It moved with its next event. That takes in tasks which the fault never touched and
 * which would have moved in a moment anyway; they make no maximum.
 *
 * Left out, because they wait for somebody else by contract: UNCONFIRMED tasks, which only a callback or the deadline
 * moves, and RUNNING tasks whose callback a directive loses or delays, whose wait has nothing to do with the fault (the
 * service asks about them 10 s after they were submitted). A callback that a fault has lost is not left out.
 *
 * Two figures, since faults meet: a task can be hit again before it has moved, and nobody can tell afterwards which of the
 * faults it was that kept it. `secondsMax` blames the first and counts through the others. `undisturbedSecondsMax` blames
 * the last one before the move; it would flatter if faults never paused, so the schedule has calms of 10 s.
 *
 * The clock stands still while Postgres or the upstream is away in a later fault, since nothing can move then. It runs
 * through everything else: later kills and stops, the service's own waits before it tries again, and a busy machine.
 */
export function measureRecovery(faults: readonly Fault[], evidence: Evidence): Recovery[] {
  const outages = merge(faults.filter(({ kind }) => OUTAGES.includes(kind)));
  const measured = faults.filter(({ kind }) => MEASURED.includes(kind));
  return MEASURED.map((kind) => {
    const recovery: Recovery = {
      kind,
      faults: 0,
      stranded: 0,
      secondsMax: 0,
      undisturbedSecondsMax: 0,
      slowest: null,
    };
    for (const fault of measured.filter((each) => each.kind === kind)) {
      recovery.faults += 1;
      for (const { id, prompt, upstreamTaskId } of evidence.tasks) {
        const events = evidence.events.get(id) ?? [];
        const finishedAt = evidence.finishTimes.get(upstreamTaskId ?? '') ?? Infinity;
        const callbackComes = !/callback=(lost|late)/.test(prompt);
        const knowsOfEnd = callbackComes && finishedAt <= fault.endedAt;
        if (!waitsForUs(events, fault.endedAt, knowsOfEnd)) continue;
        recovery.stranded += 1;
        const moved = events.find(({ at }) => at > fault.endedAt);
        const since = (from: number) =>
          moved ? (moved.at - from - away(outages, from, moved.at)) / 1000 : Infinity;
        const lastEnd = Math.max(
          fault.endedAt,
          ...measured.map(({ endedAt }) => endedAt).filter((at) => moved && at < moved.at),
        );
        recovery.undisturbedSecondsMax = Math.max(recovery.undisturbedSecondsMax, since(lastEnd));
        const seconds = since(fault.endedAt);
        if (seconds <= recovery.secondsMax) continue;
        recovery.secondsMax = seconds;
        recovery.slowest = id;
      }
    }
    return recovery;
  });
}

/** Whether the task was the service's to move at `time`, from what had been written down by then. */
function waitsForUs(events: readonly EventRow[], time: number, isFinishedUpstream: boolean): boolean {
  let state: 'ours' | 'running' | 'unconfirmed' | 'ended' | null = null;
  let pendingImages = 0;
  for (const { type, at, deliveredCount } of events) {
    if (at > time) break;
    pendingImages += deliveredCount;
    if (type === 'TASK_REQUESTED' || type === 'SUBMIT_REJECTED') state = 'ours';
    else if (type === 'TASK_SUBMITTED') state = 'running';
    else if (type === 'SUBMIT_UNCONFIRMED') state = 'unconfirmed';
    else if (type === 'IMAGE_STORED' || type === 'IMAGE_LOST') pendingImages -= 1;
    else if (type.startsWith('TASK_')) state = 'ended';
  }
  return state === 'ours' || (state === 'running' && isFinishedUpstream) || pendingImages > 0;
}

interface Interval {
  from: number;
  to: number;
}

/** The times in which at least one of them lasted, without overlaps. */
function merge(faults: readonly Fault[]): Interval[] {
  const merged: Interval[] = [];
  for (const { startedAt: from, endedAt: to } of [...faults].sort((a, b) => a.startedAt - b.startedAt)) {
    const last = merged.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

function away(outages: readonly Interval[], from: number, to: number): number {
  return outages.reduce(
    (sum, each) => sum + Math.max(0, Math.min(to, each.to) - Math.max(from, each.from)),
    0,
  );
}
