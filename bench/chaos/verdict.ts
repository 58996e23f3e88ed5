import { type Evidence, type ImageRow, type TaskRow } from './evidence.js';
import { groupBy } from './group.js';
import { type RequestedTask } from './load.js';
import { type BilledGeneration } from './sandbox.js';

/** The result of checking the promises. `complaints` explains every violation. */
export interface Verdict {
  acknowledged: number;
  ended: number;
  /** Acknowledged tasks that did not finish. */
  lost: number;
  /** Billed generations beyond one per task. */
  paidTwice: number;
  /** Tasks whose number of final events is not one, or whose final event does not match their status. */
  doubleEnds: number;
  /** Billed images that the service knew of, or could have known of, and does not have. */
  imagesMissing: number;
  /** Positions of the event log that are missing or used twice, and events without a position. */
  logFaults: number;
  /** Requests that created two tasks or got the IDs of two. */
  keyFaults: number;
  /** Ledger entries, tasks and budgets that do not match. */
  ledgerDrift: number;
  /** Settled tasks without exactly one result delivery, and deliveries that are ABANDONED, or DELIVERED but were not received. */
  deliveryFaults: number;
  /** Webhook deliveries that wait for another attempt. */
  deliveriesPending: number;
  complaints: string[];
}

/** Images that the service cannot know of, because both the reply and the callback were lost. Counted by cause. */
export interface Unknowable {
  byDirective: number;
  byOutage: number;
}

const TERMINAL = /^TASK_(SUCCEEDED|FAILED|CANCELED|EXPIRED)$/;

/**
 * Checks the promises. `acknowledgedCallbacks` has the tasks whose upstream callback the service answered with 2xx, as the load
 * balancer saw it. `storedSize` reads the store. `receivedWebhooks` has the webhook deliveries that the endpoint answered with 200.
 *
 * A missing billed image is excused in only one case: the service never learnt the upstream's task ID (because the reply was
 * lost by a directive or a fault), and no callback of the task was saved or acknowledged (the upstream sends it only once). A
 * service that acknowledged the callback must have the image.
 */
export async function judgeRun(
  requestedTasks: readonly RequestedTask[],
  evidence: Evidence,
  acknowledgedCallbacks: ReadonlySet<string>,
  receivedWebhooks: ReadonlyMap<string, number>,
  storedSize: (sha256: string) => Promise<number | null>,
): Promise<Verdict & { unknowable: Unknowable }> {
  const complaints: string[] = [];
  const addComplaint = (promise: string, id: string, what: string) => {
    const events = evidence.events.get(id)?.map(({ type }) => type);
    complaints.push(`${promise}: ${what} (task ${id}: ${events?.join(' ') ?? 'no events'})`);
    return 1;
  };
  const rows = new Map(evidence.tasks.map((row) => [row.id, row]));
  const acknowledged = requestedTasks.flatMap((task) => task.taskId ?? []);
  const isFinal = (id: string) =>
    TERMINAL.test(`TASK_${rows.get(id)?.status}`) && rows.get(id)?.pending === 0;
  const unfinishedIds = acknowledged.filter((id) => !isFinal(id));
  unfinishedIds.forEach((id) =>
    addComplaint('lost', id, `its status is ${rows.get(id)?.status ?? 'missing'}`),
  );

  let doubleEnds = 0;
  for (const { id, status } of evidence.tasks) {
    const finalEvents = (evidence.events.get(id) ?? []).filter(({ type }) => TERMINAL.test(type));
    const isRight =
      finalEvents.length === 1
        ? finalEvents[0]?.type === `TASK_${status}`
        : finalEvents.length === 0 && !isFinal(id);
    if (!isRight) doubleEnds += addComplaint('doubleEnds', id, `its status is ${status}`);
  }
  let keyFaults = 0;
  const tasksOfKey = groupBy(evidence.tasks, ({ key }) => key);
  for (const { taskId, otherIds, idempotencyKey } of requestedTasks) {
    const tasksWithKey = tasksOfKey.get(idempotencyKey) ?? [];
    const isRight =
      otherIds.length === 0 &&
      tasksWithKey.length <= 1 &&
      (taskId === null || tasksWithKey[0]?.id === taskId);
    if (!isRight)
      keyFaults += addComplaint(
        'keyFaults',
        taskId ?? '',
        `the key ${idempotencyKey} has ${tasksWithKey.length} tasks`,
      );
  }
  const generations = groupBy(evidence.billedGenerations, ({ prompt }) => prompt);
  const taskOfPrompt = new Map(evidence.tasks.map((task) => [task.prompt, task]));
  let paidTwice = 0;
  for (const [prompt, entries] of generations) {
    for (let extra = 1; extra < entries.length; extra += 1) {
      paidTwice += addComplaint('paidTwice', taskOfPrompt.get(prompt)?.id ?? '', prompt);
    }
  }
  let imagesMissing = 0;
  const unknowable = { byDirective: 0, byOutage: 0 };
  for (const entry of evidence.billedGenerations) {
    const task = taskOfPrompt.get(entry.prompt);
    const missing = entry.count - (task ? await countPresent(evidence.images.get(task.id), storedSize) : 0);
    if (missing <= 0) continue;
    if (task && isUnknowable(task, evidence, acknowledgedCallbacks)) {
      unknowable[/reply=.*callback=lost/.test(entry.prompt) ? 'byDirective' : 'byOutage'] += missing;
      continue;
    }
    imagesMissing += missing;
    addComplaint('imagesMissing', task?.id ?? '', describeMissing(entry, missing, task, evidence));
  }
  const logFaults = countLogFaults(evidence);
  if (logFaults > 0) complaints.push(`logFaults: ${logFaults}`);
  const { count: ledgerDrift, examples } = evidence.ledgerDrift ?? {
    count: 1,
    examples: ['the ledger is empty'],
  };
  if (ledgerDrift > 0) complaints.push(`ledgerDrift: ${ledgerDrift}, such as ${examples?.join(', ')}`);
  let deliveryFaults = 0;
  const deliveriesByTask = groupBy(evidence.webhookDeliveries, ({ taskId }) => taskId);
  for (const { id } of evidence.tasks.filter((task) => isFinal(task.id))) {
    const results = (deliveriesByTask.get(id) ?? []).filter(({ kind }) => kind === 'RESULT').length;
    if (results !== 1)
      deliveryFaults += addComplaint('deliveryFaults', id, `its result has ${results} webhook deliveries`);
  }
  for (const { id, taskId, status } of evidence.webhookDeliveries) {
    const isRight = status === 'PENDING' || (status === 'DELIVERED' && receivedWebhooks.has(id));
    if (!isRight)
      deliveryFaults += addComplaint('deliveryFaults', taskId, `webhook delivery ${id} is ${status}`);
  }
  return {
    ...{
      acknowledged: acknowledged.length,
      ended: acknowledged.length - unfinishedIds.length,
      lost: unfinishedIds.length,
    },
    ...{
      paidTwice,
      doubleEnds,
      imagesMissing,
      logFaults,
      keyFaults,
      ledgerDrift,
      deliveryFaults,
      deliveriesPending: evidence.webhookDeliveries.filter(({ status }) => status === 'PENDING').length,
      complaints,
      unknowable,
    },
  };
}

function isUnknowable(
  task: TaskRow,
  evidence: Evidence,
  acknowledgedCallbacks: ReadonlySet<string>,
): boolean {
  return (
    task.upstreamTaskId === null &&
    !evidence.callbackTaskIds.has(task.id) &&
    !acknowledgedCallbacks.has(task.id)
  );
}

/** Counts stored images whose file exists with the size in the database. */
async function countPresent(
  images: readonly ImageRow[] | undefined,
  storedSize: (sha256: string) => Promise<number | null>,
): Promise<number> {
  let present = 0;
  for (const { isStored, sha256, byteSize } of images ?? []) {
    if (!isStored || sha256 === null) continue;
    if ((await storedSize(sha256)) === byteSize) present += 1;
  }
  return present;
}

function describeMissing(
  entry: BilledGeneration,
  missing: number,
  task: TaskRow | undefined,
  evidence: Evidence,
): string {
  const images = evidence.images.get(task?.id ?? '') ?? [];
  const reasons = images.flatMap(({ lostReason }) => lostReason ?? []);
  return `${missing} of ${entry.count} images of "${entry.prompt}", status ${task?.status ?? 'unknown (no task)'} ${reasons.join(' ')}`;
}

/** Positions must be 1, 2, 3 and so on, and every event must have one. */
function countLogFaults({ events }: Evidence): number {
  const positions = [...events.values()].flat().map(({ position }) => position);
  const sealed = new Set(positions.filter((position) => position !== null));
  const gaps = Math.max(0, ...sealed) - sealed.size;
  return gaps + (positions.length - sealed.size);
}
