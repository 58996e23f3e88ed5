import { type ChaosOptions } from './options.js';
import { type Fault, type FaultKind } from './fault-plan.js';
import { countEach } from './group.js';
import { type Instances } from './instances.js';
import { type AskedTask } from './load.js';
import { type Recovery } from './recovery.js';
import { type Unknowable, type Verdict } from './verdict.js';

/** What a run came to, ready to be printed. */
export interface Outcome {
  options: ChaosOptions;
  faults: readonly Fault[];
  asked: readonly AskedTask[];
  statuses: ReadonlyMap<string, number>;
  verdict: Verdict & { unknowable: Unknowable };
  recoveries: readonly Recovery[];
  ownEnds: Instances['ownEnds'];
  seconds: number;
}

const NAMES: Record<FaultKind, string> = {
  kill: 'instance killed',
  freeze: 'instance stopped for 8 s',
  terminate: 'database connections terminated',
  postgres: 'Postgres stopped at once',
  upstream: 'upstream down for 10 s',
  burst: 'upstream refuses with 429 for 2 s',
};
/** What the service aims for, not what it promises. */
const RECOVERY_GOAL_SECONDS = 10;
/** The first ones tell what is wrong; a run that goes wrong altogether has as many as it has tasks. */
const MAX_COMPLAINTS = 30;

/** What may not happen, not once; verdict.ts says what each of them counts. */
const PROMISES = [
  'lost',
  'paidTwice',
  'doubleEnds',
  'imagesMissing',
  'logFaults',
  'keyFaults',
  'ledgerDrift',
  'deliveryFaults',
] as const satisfies (keyof Verdict)[];

/** Whether every promise was kept. How long recovery took is a figure, not a promise. */
export function isKept(verdict: Verdict): boolean {
  return PROMISES.every((promise) => verdict[promise] === 0);
}

/** One table, the complaints if there are any, and one line of JSON. */
export function printReport(outcome: Outcome): void {
  const { options, faults, asked, verdict, recoveries, statuses, ownEnds, seconds } = outcome;
  const ofTasks = asked.flatMap(({ fault }) => fault?.replace(/=(\d+)(ms)?$/, '') ?? []);
  const { unknowable, complaints, ...counts } = verdict;
  const recoverySecondsMax = round(Math.max(...recoveries.map(({ secondsMax }) => secondsMax)));
  const recoveryUndisturbedSecondsMax = round(
    Math.max(...recoveries.map(({ undisturbedSecondsMax }) => undisturbedSecondsMax)),
  );
  const rows: [string, string, string?][] = [
    ['faults', String(faults.length + ofTasks.length)],
    ...(Object.keys(NAMES) as FaultKind[]).map((kind): [string, string, string?] => {
      const recovery = recoveries.find((each) => each.kind === kind);
      const count = faults.filter((fault) => fault.kind === kind).length;
      return [`  ${NAMES[kind]}`, String(count), recovery && tellRecovery(recovery)];
    }),
    ...[...countEach(ofTasks)].map(([fault, count]): [string, string] => [`  ${fault}`, String(count)]),
    ['tasks acknowledged', `${counts.acknowledged}`, `of ${asked.length} that were asked for`],
    ['tasks ended', `${counts.ended}`, [...statuses].map(([status, n]) => `${n} ${status}`).join(', ')],
    ['lost', `${counts.lost}`],
    ['paid twice', `${counts.paidTwice}`],
    ['ended twice', `${counts.doubleEnds}`],
    ['pictures missing', `${counts.imagesMissing}`, tellUnknowable(unknowable)],
    ['faults of the event log', `${counts.logFaults}`],
    ['faults of idempotency keys', `${counts.keyFaults}`],
    ['faults of the ledger', `${counts.ledgerDrift}`],
    [
      'faults of callbacks out',
      `${counts.deliveryFaults}`,
      `${counts.deliveriesPending} wait for another attempt`,
    ],
    [
      'longest recovery after the last fault',
      tellSeconds(recoveryUndisturbedSecondsMax),
      `goal: at most ${RECOVERY_GOAL_SECONDS} s`,
    ],
    [
      'longest recovery through later faults',
      tellSeconds(recoverySecondsMax),
      `goal: at most ${RECOVERY_GOAL_SECONDS} s`,
    ],
    [
      'ends of instances by themselves',
      `${ownEnds.starting + ownEnds.running}`,
      `${ownEnds.running} while running`,
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
      ...{ bench: 'chaos', seed: options.seed, faults: faults.length + ofTasks.length, acknowledged, ended },
      ...Object.fromEntries(PROMISES.map((promise) => [promise, counts[promise]])),
      ...{ recoverySecondsMax, recoveryUndisturbedSecondsMax },
      unknowable: unknowable.byDirective + unknowable.byOutage,
    }),
  );
}

function tellRecovery({ stranded, secondsMax, undisturbedSecondsMax, slowest }: Recovery): string {
  if (stranded === 0) return 'found no task waiting';
  const [within, undisturbed] = [secondsMax, undisturbedSecondsMax].map((each) => tellSeconds(round(each)));
  return `moved again within ${within}, ${undisturbed} undisturbed (${stranded} waiting; slowest ${slowest})`;
}

/** A task that never moved again is lost, and says so; here it is a recovery without an end, and null in JSON. */
function tellSeconds(seconds: number): string {
  return seconds === Infinity ? 'never' : `${seconds} s`;
}

function tellUnknowable({ byDirective, byOutage }: Unknowable): string {
  return `and ${byDirective + byOutage} that nobody can know of: reply and callback lost, ${byDirective} as asked, ${byOutage} in faults`;
}

function round(seconds: number): number {
  return Number(seconds.toFixed(1));
}
