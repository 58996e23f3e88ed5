import { writeFile } from 'node:fs/promises';
import { type ChaosOptions } from './options.js';
import { type Evidence } from './evidence.js';
import { type Fault } from './fault-plan.js';
import { FAULTS } from './faults/registry.js';
import { countEach } from './group.js';
import { type InstanceGroup } from './instances.js';
import { type RequestedTask } from './load.js';
import { type Recovery } from './recovery.js';
import { type Unknowable, type Verdict } from './verdict.js';

/** The result of a run. */
export interface ChaosResult {
  options: ChaosOptions & { rate: number };
  /** Unix milliseconds. */
  startedAt: number;
  faults: readonly Fault[];
  /** Of all tasks, by their ID. */
  events: Evidence['events'];
  requestedTasks: readonly RequestedTask[];
  statuses: ReadonlyMap<string, number>;
  verdict: Verdict & { unknowable: Unknowable };
  recoveries: readonly Recovery[];
  unexpectedExits: InstanceGroup['unexpectedExits'];
  /** The longest time in which no instance ran a job although PostgreSQL answered. */
  deafSecondsMax: number;
  /** When that time ended, in seconds after the start. Null if there was none. */
  deafUntilSecond: number | null;
  /** The longest time that a bare client of PostgreSQL had to wait after an outage. */
  answerSecondsMax: number;
  /** Images that a bare pipeline stored per second on this machine, before the run. */
  pipelinePerSecond: number;
  /** Images that all instances together stored per second, in the five seconds with the most. */
  storedPerSecondMax: number;
  /** Kinds of faults that this run could not have. */
  leftOut: readonly string[];
  seconds: number;
}

/** Writes when each fault and each event of a task was, which shows what waited after a fault, and for what. */
export async function writeTimeline(path: string, { startedAt, faults, events }: ChaosResult): Promise<void> {
  await writeFile(path, JSON.stringify({ startedAt, faults, events: Object.fromEntries(events) }));
}

/** A goal of the service, not a promise. */
const RECOVERY_GOAL_SECONDS = 10;
/** A run that fails completely has a complaint for every task. The first ones show the problem. */
const MAX_COMPLAINTS = 30;

/** Counters that must be 0. `Verdict` describes them. */
const PROMISE_COUNTERS = [
  'lost',
  'paidTwice',
  'doubleEnds',
  'imagesMissing',
  'logFaults',
  'keyFaults',
  'ledgerDrift',
  'deliveryFaults',
] as const satisfies (keyof Verdict)[];

/** Whether all promises were kept. The recovery time is a figure, not a promise. */
export function arePromisesKept(verdict: Verdict): boolean {
  return PROMISE_COUNTERS.every((promise) => verdict[promise] === 0);
}

/** Prints a table, the complaints, and one line of JSON. */
export function printReport(result: ChaosResult): void {
  const { options, faults, requestedTasks, verdict, recoveries, statuses, unexpectedExits, seconds } = result;
  const taskFaults = requestedTasks.flatMap(({ fault }) => fault?.replace(/=(\d+)(ms)?$/, '') ?? []);
  const { unknowable, complaints, ...counts } = verdict;
  const recoverySecondsMax = round(Math.max(...recoveries.map(({ secondsMax }) => secondsMax)));
  const recoveryUndisturbedSecondsMax = round(
    Math.max(...recoveries.map(({ undisturbedSecondsMax }) => undisturbedSecondsMax)),
  );
  const imagesWaitingMax = Math.max(...recoveries.map((recovery) => recovery.imagesWaitingMax));
  // What had piled up, through the bare pipeline, after PostgreSQL answered.
  const recoveryFloorSecondsMax = round(
    result.answerSecondsMax + imagesWaitingMax / result.pipelinePerSecond,
  );
  const rows: [string, string, string?][] = [
    ['faults', String(faults.length + taskFaults.length)],
    ...FAULTS.map(({ kind, title }): [string, string, string?] => {
      const recovery = recoveries.find((each) => each.kind === kind);
      const count = faults.filter((fault) => fault.kind === kind).length;
      return [`  ${title}`, String(count), recovery && formatRecovery(recovery)];
    }),
    ...[...countEach(taskFaults)].map(([fault, count]): [string, string] => [`  ${fault}`, String(count)]),
    ['tasks acknowledged', `${counts.acknowledged}`, `of ${requestedTasks.length} requested`],
    ['tasks finished', `${counts.ended}`, [...statuses].map(([status, n]) => `${n} ${status}`).join(', ')],
    ['lost', `${counts.lost}`],
    ['paid twice', `${counts.paidTwice}`],
    ['wrong final events', `${counts.doubleEnds}`],
    ['images missing', `${counts.imagesMissing}`, formatUnknowable(unknowable)],
    ['errors in the event log', `${counts.logFaults}`],
    ['errors of idempotency keys', `${counts.keyFaults}`],
    ['errors in the ledger', `${counts.ledgerDrift}`],
    [
      'errors of webhook deliveries',
      `${counts.deliveryFaults}`,
      `${counts.deliveriesPending} waiting for another attempt`,
    ],
    [
      'longest recovery after the last fault',
      formatSeconds(recoveryUndisturbedSecondsMax),
      `goal: at most ${RECOVERY_GOAL_SECONDS} s`,
    ],
    [
      'longest recovery through later faults',
      formatSeconds(recoverySecondsMax),
      `goal: at most ${RECOVERY_GOAL_SECONDS} s`,
    ],
    [
      'longest recovery of a bare pipeline',
      formatSeconds(recoveryFloorSecondsMax),
      `at ${round(result.pipelinePerSecond)} images per second for ${imagesWaitingMax} images; the floor of the two above`,
    ],
    ['images stored per second at most', `${round(result.storedPerSecondMax)}`, 'in 5 s, by all instances'],
    [
      'longest time without a job',
      formatSeconds(round(result.deafSecondsMax)),
      `while PostgreSQL answered, until second ${round(result.deafUntilSecond ?? 0)}; goal: at most ${RECOVERY_GOAL_SECONDS} s`,
    ],
    [
      'unexpected exits of instances',
      `${unexpectedExits.starting + unexpectedExits.running}`,
      `${unexpectedExits.running} while running`,
    ],
  ];
  const [nameWidth, valueWidth] = [0, 1].map((column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  console.log();
  for (const [name, value, note = ''] of rows) {
    console.log(`${name.padEnd(nameWidth ?? 0)}   ${value.padStart(valueWidth ?? 0)}   ${note}`.trimEnd());
  }
  for (const complaint of complaints.slice(0, MAX_COMPLAINTS)) console.log(complaint);
  if (complaints.length > MAX_COMPLAINTS) console.log(`and ${complaints.length - MAX_COMPLAINTS} more`);
  console.log(`\nTook ${Math.round(seconds)} s.`);
  const { acknowledged, ended } = counts;
  console.log(
    JSON.stringify({
      ...{
        bench: 'chaos',
        seed: options.seed,
        faults: faults.length + taskFaults.length,
        acknowledged,
        ended,
      },
      ...Object.fromEntries(PROMISE_COUNTERS.map((promise) => [promise, counts[promise]])),
      ...{ recoverySecondsMax, recoveryUndisturbedSecondsMax, deafSecondsMax: round(result.deafSecondsMax) },
      recoveryFloorSecondsMax,
      ...{ tasksPerSecond: options.rate, pipelinePerSecond: round(result.pipelinePerSecond) },
      storedPerSecondMax: round(result.storedPerSecondMax),
      leftOut: result.leftOut,
      unknowable: unknowable.byDirective + unknowable.byOutage,
    }),
  );
}

function formatRecovery({ stranded, secondsMax, undisturbedSecondsMax, slowest }: Recovery): string {
  if (stranded === 0) return 'no task was waiting';
  const [within, undisturbed] = [secondsMax, undisturbedSecondsMax].map((each) => formatSeconds(round(each)));
  return `progressed within ${within}, ${undisturbed} undisturbed (${stranded} waiting; slowest ${slowest})`;
}

/** A task that never progressed again is reported as lost. Its recovery is infinite here, and null in JSON. */
function formatSeconds(seconds: number): string {
  return seconds === Infinity ? 'never' : `${seconds} s`;
}

function formatUnknowable({ byDirective, byOutage }: Unknowable): string {
  return `plus ${byDirective + byOutage} unknowable, with reply and callback lost: ${byDirective} by directives, ${byOutage} by faults`;
}

function round(seconds: number): number {
  return Number(seconds.toFixed(1));
}
