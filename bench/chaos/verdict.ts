import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Evidence, type ImageRow, type TaskRow } from './evidence.js';
import { groupBy } from './group.js';
import { type AskedTask } from './load.js';
import { type LedgerEntry } from './sandbox.js';

/** What the promises came to. Every number but the first two should be 0; `complaints` tells of each that is not. */
export interface Verdict {
  acknowledged: number;
  ended: number;
  /** Acknowledged tasks that did not end. */
  lost: number;
  /** Generations that were billed beyond one for each task. */
  paidTwice: number;
  /** Tasks with another number of ends than one, or with an end that their status does not say. */
  doubleEnds: number;
  /** Pictures that were billed, of which the service knew or could have known, and which it does not have. */
  imagesMissing: number;
  /** Places of the log that are empty or taken twice, and events that have none. */
  logFaults: number;
  /** Requests that made two tasks, or were told of two. */
  keyFaults: number;
  /** Movements, tasks and budgets of which the ledger does not tell the truth. */
  ledgerDrift: number;
  /** Settled tasks whose result was not to be posted just once, and callbacks that say DELIVERED and were not, or were given up. */
  deliveryFaults: number;
  /** Callbacks out that wait for their next attempt. */
  deliveriesPending: number;
  complaints: string[];
}

/** Pictures that nobody can know of: the reply was lost and the callback was lost. By what lost them. */
export interface Unknowable {
  byDirective: number;
  byOutage: number;
}

const TERMINAL = /^TASK_(SUCCEEDED|FAILED|CANCELED|EXPIRED)$/;

/**
 * Judges. `answered`: tasks whose callback the service has answered with 2xx, as the load balancer saw it. `taken`: the callbacks
 * out that their receiver has answered with 200.
 *
 * A billed picture that is not there is excused in one case only: the service never learnt the upstream's id of the task
 * (so the reply was lost, by a directive or with a process or a connection), and no callback of the task was kept or
 * answered with success (so that was lost, too: the upstream sends it once). Whoever answers 200 has to have the picture.
 */
export async function judge(
  asked: readonly AskedTask[],
  evidence: Evidence,
  answered: ReadonlySet<string>,
  taken: ReadonlyMap<string, number>,
  imagesDir: string,
): Promise<Verdict & { unknowable: Unknowable }> {
  const complaints: string[] = [];
  const complain = (about: string, id: string, what: string) => {
    const events = evidence.events.get(id)?.map(({ type }) => type);
    complaints.push(`${about}: ${what} (task ${id}: ${events?.join(' ') ?? 'no events'})`);
    return 1;
  };
  const rows = new Map(evidence.tasks.map((row) => [row.id, row]));
  const acknowledged = asked.flatMap((task) => task.taskId ?? []);
  const hasEnded = (id: string) =>
    TERMINAL.test(`TASK_${rows.get(id)?.status}`) && rows.get(id)?.pending === 0;
  const open = acknowledged.filter((id) => !hasEnded(id));
  open.forEach((id) => complain('lost', id, `it is ${rows.get(id)?.status ?? 'not there'}`));

  let doubleEnds = 0;
  for (const { id, status } of evidence.tasks) {
    const ends = (evidence.events.get(id) ?? []).filter(({ type }) => TERMINAL.test(type));
    const isRight =
      ends.length === 1 ? ends[0]?.type === `TASK_${status}` : ends.length === 0 && !hasEnded(id);
    if (!isRight) doubleEnds += complain('doubleEnds', id, `it is ${status}`);
  }
  let keyFaults = 0;
  const tasksOfKey = groupBy(evidence.tasks, ({ key }) => key);
  for (const { taskId, otherIds, idempotencyKey } of asked) {
    const made = tasksOfKey.get(idempotencyKey) ?? [];
    const isRight = otherIds.length === 0 && made.length <= 1 && (taskId === null || made[0]?.id === taskId);
    if (!isRight)
      keyFaults += complain('keyFaults', taskId ?? '', `${idempotencyKey} names ${made.length} tasks`);
  }
  const generations = groupBy(evidence.ledger, ({ prompt }) => prompt);
  const taskOfPrompt = new Map(evidence.tasks.map((task) => [task.prompt, task]));
  let paidTwice = 0;
  for (const [prompt, entries] of generations) {
    for (let extra = 1; extra < entries.length; extra += 1) {
      paidTwice += complain('paidTwice', taskOfPrompt.get(prompt)?.id ?? '', prompt);
    }
  }
  let imagesMissing = 0;
  const unknowable = { byDirective: 0, byOutage: 0 };
  for (const entry of evidence.ledger) {
    const task = taskOfPrompt.get(entry.prompt);
    const missing = entry.count - (task ? await countPresent(evidence.images.get(task.id), imagesDir) : 0);
    if (missing <= 0) continue;
    if (task && isUnknowable(task, evidence, answered)) {
      unknowable[/reply=.*callback=lost/.test(entry.prompt) ? 'byDirective' : 'byOutage'] += missing;
      continue;
    }
    imagesMissing += missing;
    complain('imagesMissing', task?.id ?? '', tellMissing(entry, missing, task, evidence));
  }
  const logFaults = countLogFaults(evidence);
  if (logFaults > 0) complaints.push(`logFaults: ${logFaults}`);
  const { drift, first } = evidence.drift ?? { drift: 1, first: ['nothing was written'] };
  if (drift > 0) complaints.push(`ledgerDrift: ${drift}, of ${first?.join(', ')}`);
  let deliveryFaults = 0;
  const callbacksOf = groupBy(evidence.outgoing, ({ taskId }) => taskId);
  for (const { id } of evidence.tasks.filter((task) => hasEnded(task.id))) {
    const results = (callbacksOf.get(id) ?? []).filter(({ kind }) => kind === 'RESULT').length;
    if (results !== 1)
      deliveryFaults += complain('deliveryFaults', id, `${results} callbacks for its result`);
  }
  for (const { id, taskId, status } of evidence.outgoing) {
    const isRight = status === 'PENDING' || (status === 'DELIVERED' && taken.has(id));
    if (!isRight) deliveryFaults += complain('deliveryFaults', taskId, `callback ${id} is ${status}`);
  }
  return {
    ...{ acknowledged: acknowledged.length, ended: acknowledged.length - open.length, lost: open.length },
    ...{
      paidTwice,
      doubleEnds,
      imagesMissing,
      logFaults,
      keyFaults,
      ledgerDrift: drift,
      deliveryFaults,
      deliveriesPending: evidence.outgoing.filter(({ status }) => status === 'PENDING').length,
      complaints,
      unknowable,
    },
  };
}

function isUnknowable(task: TaskRow, evidence: Evidence, answered: ReadonlySet<string>): boolean {
  return task.upstreamTaskId === null && !evidence.callbacks.has(task.id) && !answered.has(task.id);
}

/** Pictures that are stored and whose file is there, as long as the row says. */
async function countPresent(images: readonly ImageRow[] | undefined, imagesDir: string): Promise<number> {
  let present = 0;
  for (const { isStored, sha256, byteSize } of images ?? []) {
    if (!isStored || sha256 === null) continue;
    const file = await stat(join(imagesDir, sha256.slice(0, 2), sha256)).catch(() => null);
    if (file?.size === byteSize) present += 1;
  }
  return present;
}

function tellMissing(
  entry: LedgerEntry,
  missing: number,
  task: TaskRow | undefined,
  evidence: Evidence,
): string {
  const images = evidence.images.get(task?.id ?? '') ?? [];
  const reasons = images.flatMap(({ lostReason }) => lostReason ?? []);
  return `${missing} of ${entry.count} of "${entry.prompt}", ${task?.status ?? 'without a task'} ${reasons.join(' ')}`;
}

/** The log's places must be 1, 2, 3 and so on, and every event must have one. */
function countLogFaults({ events }: Evidence): number {
  const positions = [...events.values()].flat().map(({ position }) => position);
  const sealed = new Set(positions.filter((position) => position !== null));
  const gaps = Math.max(0, ...sealed) - sealed.size;
  return gaps + (positions.length - sealed.size);
}
