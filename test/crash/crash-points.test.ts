import { describe, expect, test } from '@jest/globals';
import { CRASH_POINTS, type CrashPoint } from '../../src/core/primitives/crash-points.js';
import { BudgetsDocument, type GenerateImagesInput, SetBudgetDocument } from '../../clients/operations.js';
import { LEDGER_DRIFT } from '../../src/db/billing/ledger-check.js';
import { SandboxUnderTest } from '../support/upstreams/sandbox-under-test.js';
import { pathOf, type TestApp, typesOf } from '../support/app/test-app.js';
import { FakeUpstream } from '../support/upstreams/fake-upstream.js';
import { waitFor } from '../support/wait-for.js';
import { CrashingService } from '../support/crash/crashing-service.js';

/** Two processes are started, others run meanwhile, and the jobs of the one that was killed are handed back seconds later. */
const TIMEOUT_MS = 240_000;
const WAIT = { timeoutMs: 90_000 };

/** The life of a task whose service dies at a crash point. */
interface Scene {
  point: CrashPoint;
  mode: 'callback' | 'wait';
  /** What the sandbox is told. */
  directives: string;
  /** What the ledger says in the end. */
  billed: 0 | 1;
  /** The whole history but its pictures. */
  history: string[];
  /** An event that is there or not: whether the callback or the ticket of the dead process is first is a matter of chance. */
  mayBe?: string;
}

const CONFIRMED = ['TASK_REQUESTED', 'TASK_SUBMITTED', 'TASK_SUCCEEDED'];
const NEVER_CONFIRMED = ['TASK_REQUESTED', 'SUBMIT_UNCONFIRMED', 'TASK_EXPIRED'];
/** Long enough for the reply to be written down before the callback comes. */
const LATER = 'delay=1s';
/** A callback that only this task can be known by: it is posted once, and whoever is to take it must be up by then. */
const MUCH_LATER = 'delay=8s';

const SCENES: Scene[] = [
  { point: 'submitting-saved', mode: 'callback', directives: LATER, billed: 0, history: NEVER_CONFIRMED },
  {
    point: 'reply-read',
    mode: 'callback',
    directives: MUCH_LATER,
    billed: 1,
    history: ['TASK_REQUESTED', 'TASK_SUCCEEDED'],
    mayBe: 'SUBMIT_UNCONFIRMED',
  },
  { point: 'result-waited-for', mode: 'wait', directives: '', billed: 1, history: NEVER_CONFIRMED },
  { point: 'callback-read', mode: 'callback', directives: LATER, billed: 1, history: CONFIRMED },
  { point: 'callback-kept', mode: 'callback', directives: LATER, billed: 1, history: CONFIRMED },
  { point: 'picture-downloaded', mode: 'callback', directives: LATER, billed: 1, history: CONFIRMED },
  { point: 'picture-put', mode: 'callback', directives: LATER, billed: 1, history: CONFIRMED },
];

/**
 * Asks for pictures, of which the service dies, and starts it again. The answer may die with it, so the caller asks the
 * next one with the same idempotency key, and is given the same task. Its id.
 */
async function askAcrossDeath(service: CrashingService, wish: GenerateImagesInput): Promise<string> {
  const input = { ...wish, idempotencyKey: 'across death' };
  const answered = await service.app.generate(input).catch(() => null);
  expect(await service.restart()).toBe('SIGKILL');
  const { id } = await service.app.generate(input);
  if (answered) expect(answered.id).toBe(id);
  return id;
}
/** Starts it with prices and a budget, so that every step moves money. */
async function startWithBudget(service: CrashingService, crashAt?: CrashPoint): Promise<void> {
  await service.start(crashAt);
  const input = { scope: 'WORKSPACE', amount: '1', currency: 'USD' } as const;
  const { setBudget } = await service.app.query(SetBudgetDocument, { input });
  expect(setBudget.userErrors).toEqual([]);
}
/** Lets the deadline pass of a task that nothing can confirm. */
async function expire(app: TestApp, id: string): Promise<void> {
  await waitFor(
    'the task to be unconfirmed',
    async () => (await app.task(id)).status === 'UNCONFIRMED',
    WAIT,
  );
  await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
}
/** Waits until it has ended, every picture of it is stored, and all of that is told. */
async function ended(app: TestApp, id: string): Promise<void> {
  await waitFor(
    'the task to be settled',
    async () => {
      const { finishedAt, images } = await app.task(id);
      const unsealed = await app.rows('SELECT FROM task_events WHERE position IS NULL');
      return finishedAt !== null && images.every((image) => image.storedAt) && unsealed.length === 0;
    },
    WAIT,
  );
}
/** What holds however the service died: one end, told once; every picture once, with its bytes; no gap in the log. */
async function checkPromises(app: TestApp, id: string, history: string[], mayBe?: string): Promise<void> {
  const types = typesOf(await app.history(id));
  const stored = types.filter((type) => type === 'IMAGE_STORED');
  expect(types.filter((type) => type !== 'IMAGE_STORED' && type !== mayBe)).toEqual(history);

  const task = await app.task(id);
  const succeeded = history.at(-1) === 'TASK_SUCCEEDED';
  const end = succeeded
    ? { status: 'SUCCEEDED', deliveredCount: 2, error: null }
    : { status: 'EXPIRED', deliveredCount: 0, error: { code: 'SUBMIT_UNCONFIRMED', retryable: true } };
  expect(task).toMatchObject(end);
  expect(task.lateImages).toEqual([]);
  expect(task.images.map((image) => image.index)).toEqual(succeeded ? [0, 1] : []);
  expect(stored).toHaveLength(task.images.length);
  for (const image of task.images) {
    const { status, bytes } = await app.get(pathOf(image.url));
    expect([status, bytes.length]).toEqual([200, image.byteSize]);
  }

  // Two pictures at 0.1: spent, or held where nobody can know. Nothing is reserved when it is over.
  expect(task.cost).toEqual({ estimated: '0.2', final: succeeded ? '0.2' : null, currency: 'USD' });
  const { budgets } = await app.query(BudgetsDocument, {});
  const standing = succeeded ? { spent: '0.2', held: '0' } : { spent: '0', held: '0.2' };
  expect(budgets.nodes).toMatchObject([{ ...standing, reserved: '0', remaining: '0.8' }]);
  expect(await app.rows(LEDGER_DRIFT.text)).toEqual([{ drift: 0, first: null }]);

  const [row] = await app.rows<{ pending: number; positions: number[]; unsealed: number }>(
    `SELECT (SELECT pending_images FROM tasks WHERE id = $1) AS pending,
            (SELECT array_agg(position::int ORDER BY position) FROM task_events) AS positions,
            (SELECT count(*)::int FROM task_events WHERE position IS NULL) AS unsealed`,
    [id],
  );
  expect(row).toEqual({ pending: 0, positions: row?.positions.map((_, index) => index + 1), unsealed: 0 });
}

describe('a service that is killed', () => {
  // Most of each is waiting for the queue to see that a process is dead.
  test.concurrent.each(SCENES)(
    'at $point keeps its promises when it is started again',
    async ({ point, mode, directives, billed, history, mayBe }) => {
      const sandbox = await SandboxUnderTest.start();
      const upstream = { FLUX_API_TOKEN: 'test', FLUX_BASE_URL: sandbox.url, FLUX_MODE: mode };
      const service = await CrashingService.prepare(upstream);
      try {
        await startWithBudget(service, point);
        const prompt = `dies at ${point} [sandbox: ${directives}]`;
        const id = await askAcrossDeath(service, { prompt, count: 2, size: '256x256' });
        if (history === NEVER_CONFIRMED) await expire(service.app, id);
        await ended(service.app, id);
        await checkPromises(service.app, id, history, mayBe);
        expect((await sandbox.ledger(prompt)).total).toBe(billed);
      } finally {
        await service.remove();
        await sandbox.stop();
      }
    },
    TIMEOUT_MS,
  );

  test('dies at every point that there is', () => {
    // The receiver of a callback has a test of its own.
    const points = [...SCENES.map(({ point }) => point), 'delivery-answered'];
    expect(points.sort()).toEqual(Object.keys(CRASH_POINTS).sort());
  });
});

describe('a service that is killed when its request has left', () => {
  test.concurrent.each<[string, string[]]>([
    [
      'is told the result by a callback to the next one',
      ['TASK_REQUESTED', 'SUBMIT_UNCONFIRMED', 'TASK_SUCCEEDED'],
    ],
    ['does not know whether it arrived, and does not send it again', NEVER_CONFIRMED],
  ])(
    '%s',
    async (_what, history) => {
      const upstream = await FakeUpstream.open();
      const service = await CrashingService.prepare(upstream.environment);
      try {
        upstream.submit = () => service.kill();
        await startWithBudget(service);
        const id = await askAcrossDeath(service, { prompt: 'left', count: 2 });
        await waitFor(
          'the task to be unconfirmed',
          async () => (await service.app.task(id)).status === 'UNCONFIRMED',
          WAIT,
        );
        if (history === NEVER_CONFIRMED) await expire(service.app, id);
        else await service.app.send(await upstream.callbackPath('left'), upstream.success(2));
        await ended(service.app, id);
        await checkPromises(service.app, id, history);
        expect(upstream.submissions('left')).toHaveLength(1);
      } finally {
        await service.remove();
        await upstream.close();
      }
    },
    TIMEOUT_MS,
  );
});
