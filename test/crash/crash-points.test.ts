import { describe, expect, test } from '@jest/globals';
import { CRASH_POINTS, type CrashPoint } from '../../src/core/primitives/crash-points.js';
import { BudgetsDocument, type GenerateImagesInput, SetBudgetDocument } from '../../clients/operations.js';
import { LEDGER_DRIFT } from '../../src/db/billing/ledger-check.js';
import { SandboxUnderTest } from '../support/upstreams/sandbox-under-test.js';
import { pathAndQuery, type TestApp, eventTypes } from '../support/app/test-app.js';
import { FakeUpstream } from '../support/upstreams/fake-upstream.js';
import { waitFor } from '../support/wait-for.js';
import { CrashingService } from '../support/crash/crashing-service.js';

/** Each test starts two processes beside others, and the jobs of a killed process are released only seconds later. */
const TIMEOUT_MS = 240_000;
const WAIT_OPTIONS = { timeoutMs: 90_000 };

/** A task whose service dies at a crash point. */
interface Scenario {
  point: CrashPoint;
  mode: 'callback' | 'wait';
  /** Directives for the sandbox. */
  directives: string;
  /** Number of charges in the sandbox at the end. */
  chargeCount: 0 | 1;
  /** The expected event types, except IMAGE_STORED. */
  history: string[];
  /** An event that may be missing, because either the callback or the job of the dead process can be first. */
  optionalEvent?: string;
}

const CONFIRMED = ['TASK_REQUESTED', 'TASK_SUBMITTED', 'TASK_SUCCEEDED'];
const NEVER_CONFIRMED = ['TASK_REQUESTED', 'SUBMIT_UNCONFIRMED', 'TASK_EXPIRED'];
/** Long enough for the reply to be saved before the callback arrives. */
const SHORT_DELAY = 'delay=1s';
/** Long enough for the next process to be up, also on a busy machine. Only the callback, which is posted once, can end this task. */
const LONG_DELAY = 'delay=30s';

const SCENARIOS: Scenario[] = [
  {
    point: 'submitting-saved',
    mode: 'callback',
    directives: SHORT_DELAY,
    chargeCount: 0,
    history: NEVER_CONFIRMED,
  },
  {
    point: 'response-read',
    mode: 'callback',
    directives: LONG_DELAY,
    chargeCount: 1,
    history: ['TASK_REQUESTED', 'TASK_SUCCEEDED'],
    optionalEvent: 'SUBMIT_UNCONFIRMED',
  },
  { point: 'wait-result-received', mode: 'wait', directives: '', chargeCount: 1, history: NEVER_CONFIRMED },
  { point: 'callback-read', mode: 'callback', directives: SHORT_DELAY, chargeCount: 1, history: CONFIRMED },
  { point: 'callback-saved', mode: 'callback', directives: SHORT_DELAY, chargeCount: 1, history: CONFIRMED },
  {
    point: 'image-downloaded',
    mode: 'callback',
    directives: SHORT_DELAY,
    chargeCount: 1,
    history: CONFIRMED,
  },
  {
    point: 'image-bytes-stored',
    mode: 'callback',
    directives: SHORT_DELAY,
    chargeCount: 1,
    history: CONFIRMED,
  },
];

/**
 * Creates a task for which the service dies, and restarts the service. The response may be lost in the crash,
 * so the request is repeated with the same idempotency key and must return the same task. Returns the ID of the task.
 */
async function generateAcrossCrash(service: CrashingService, request: GenerateImagesInput): Promise<string> {
  const input = { ...request, idempotencyKey: 'across a crash' };
  const taskBeforeCrash = await service.app.generate(input).catch(() => null);
  expect(await service.restart()).toBe('SIGKILL');
  const { id } = await service.app.generate(input);
  if (taskBeforeCrash) expect(taskBeforeCrash.id).toBe(id);
  return id;
}
/** Starts the service with prices and a budget, so that every step changes the ledger. */
async function startWithBudget(service: CrashingService, crashAt?: CrashPoint): Promise<void> {
  await service.start(crashAt);
  const input = { scope: 'WORKSPACE', amount: '1', currency: 'USD' } as const;
  const { setBudget } = await service.app.query(SetBudgetDocument, { input });
  expect(setBudget.userErrors).toEqual([]);
}
/** Waits until the task is unconfirmed, and makes its deadline pass. */
async function expireUnconfirmed(app: TestApp, id: string): Promise<void> {
  await waitFor(
    'the task to be unconfirmed',
    async () => (await app.task(id)).status === 'UNCONFIRMED',
    WAIT_OPTIONS,
  );
  await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
}
/** Waits until the task has ended, its images are stored, and all its events are sealed. */
async function waitUntilSettled(app: TestApp, id: string): Promise<void> {
  await waitFor(
    'the task to be settled',
    async () => {
      const { finishedAt, images } = await app.task(id);
      const unsealed = await app.rows('SELECT FROM task_events WHERE position IS NULL');
      return finishedAt !== null && images.every((image) => image.storedAt) && unsealed.length === 0;
    },
    WAIT_OPTIONS,
  );
}
/** Checks that the task ended once, every image is stored once with its bytes, and the event log and the ledger are correct. */
async function checkPromises(
  app: TestApp,
  id: string,
  history: string[],
  optionalEvent?: string,
): Promise<void> {
  const types = eventTypes(await app.history(id));
  const stored = types.filter((type) => type === 'IMAGE_STORED');
  expect(types.filter((type) => type !== 'IMAGE_STORED' && type !== optionalEvent)).toEqual(history);

  const task = await app.task(id);
  const succeeded = history.at(-1) === 'TASK_SUCCEEDED';
  const expectedTask = succeeded
    ? { status: 'SUCCEEDED', deliveredCount: 2, error: null }
    : { status: 'EXPIRED', deliveredCount: 0, error: { code: 'SUBMIT_UNCONFIRMED', retryable: false } };
  expect(task).toMatchObject(expectedTask);
  expect(task.lateImages).toEqual([]);
  expect(task.images.map((image) => image.index)).toEqual(succeeded ? [0, 1] : []);
  expect(stored).toHaveLength(task.images.length);
  for (const image of task.images) {
    const { status, bytes } = await app.get(pathAndQuery(image.url));
    expect([status, bytes.length]).toEqual([200, image.byteSize]);
  }

  // Two images at 0.1 each are spent, or uncertain when the outcome is unknown. Nothing stays reserved.
  expect(task.cost).toEqual({ estimated: '0.2', final: succeeded ? '0.2' : null, currency: 'USD' });
  const { budgets } = await app.query(BudgetsDocument, {});
  const amounts = succeeded ? { spent: '0.2', uncertain: '0' } : { spent: '0', uncertain: '0.2' };
  expect(budgets.nodes).toMatchObject([{ ...amounts, reserved: '0', remaining: '0.8' }]);
  expect(await app.rows(LEDGER_DRIFT.text)).toMatchObject([{ count: 0, examples: null }]);

  const [row] = await app.rows<{ pending: number; positions: number[]; unsealed: number }>(
    `SELECT (SELECT pending_images FROM tasks WHERE id = $1) AS pending,
            (SELECT array_agg(position::int ORDER BY position) FROM task_events) AS positions,
            (SELECT count(*)::int FROM task_events WHERE position IS NULL) AS unsealed`,
    [id],
  );
  expect(row).toEqual({ pending: 0, positions: row?.positions.map((_, index) => index + 1), unsealed: 0 });
}

describe('a service that is killed', () => {
  // Concurrent, because each test mostly waits until the queue counts the killed process as dead.
  test.concurrent.each(SCENARIOS)(
    'at $point keeps its promises when it is started again',
    async ({ point, mode, directives, chargeCount, history, optionalEvent }) => {
      const sandbox = await SandboxUnderTest.start();
      const upstream = { FLUX_API_TOKEN: 'test', FLUX_BASE_URL: sandbox.url, FLUX_MODE: mode };
      const service = await CrashingService.prepare(upstream);
      try {
        await startWithBudget(service, point);
        const prompt = `crash at ${point} [sandbox: ${directives}]`;
        const id = await generateAcrossCrash(service, { prompt, count: 2, size: '256x256' });
        if (history === NEVER_CONFIRMED) await expireUnconfirmed(service.app, id);
        await waitUntilSettled(service.app, id);
        await checkPromises(service.app, id, history, optionalEvent);
        expect((await sandbox.charges(prompt)).total).toBe(chargeCount);
      } finally {
        await service.dispose();
        await sandbox.stop();
      }
    },
    TIMEOUT_MS,
  );

  test('is tested at every crash point', () => {
    // webhook-answered.test.ts and spooled-callbacks.test.ts cover these points.
    const elsewhere = ['webhook-acknowledged', 'callback-spooled', 'spooled-applied'];
    const points = [...SCENARIOS.map(({ point }) => point), ...elsewhere];
    expect(points.sort()).toEqual(Object.keys(CRASH_POINTS).sort());
  });
});

describe('a service that is killed after it sent its submission', () => {
  test.concurrent.each<[string, string[]]>([
    [
      'receives the result in a callback after the restart',
      ['TASK_REQUESTED', 'SUBMIT_UNCONFIRMED', 'TASK_SUCCEEDED'],
    ],
    ['does not repeat the submission, because it may have succeeded', NEVER_CONFIRMED],
  ])(
    '%s',
    async (_description, history) => {
      const upstream = await FakeUpstream.open();
      const service = await CrashingService.prepare(upstream.environment);
      try {
        upstream.onSubmit = () => service.kill();
        await startWithBudget(service);
        const id = await generateAcrossCrash(service, { prompt: 'submitted', count: 2 });
        await waitFor(
          'the task to be unconfirmed',
          async () => (await service.app.task(id)).status === 'UNCONFIRMED',
          WAIT_OPTIONS,
        );
        if (history === NEVER_CONFIRMED) await expireUnconfirmed(service.app, id);
        else
          await service.app.postBody(await upstream.callbackPath('submitted'), upstream.successCallback(2));
        await waitUntilSettled(service.app, id);
        await checkPromises(service.app, id, history);
        expect(upstream.submissions('submitted')).toHaveLength(1);
      } finally {
        await service.dispose();
        await upstream.close();
      }
    },
    TIMEOUT_MS,
  );
});
