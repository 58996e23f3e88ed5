import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { TestApp, eventTypes } from '../../support/app/test-app.js';
import { type RequestHandler, reply } from '../../support/net/test-http-server.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { resumeTasks } from '../../support/upstreams/submission-pace.js';
import { waitFor } from '../../support/wait-for.js';

const TASK_COUNT = 45;
const ONE_HOUR = 3_600;
const CONCURRENCY = 4;
const refusal = (status: number, code: string) =>
  reply(status, { success: false, error: { code, message: 'why' }, trace_id: 'trace' });

let upstream: FakeUpstream;
let accept: RequestHandler;
let submissionCount: number;
const apps: TestApp[] = [];
beforeEach(async () => {
  upstream = await FakeUpstream.open();
  accept = upstream.onSubmit;
  submissionCount = 0;
});
afterEach(async () => {
  for (const app of apps.splice(0).reverse()) await app.stop();
  await upstream.close();
});

async function start(options: { beside?: TestApp; environment?: Record<string, string> } = {}) {
  const { beside, environment = upstream.environment } = options;
  const app = await TestApp.start({
    environment: { UPSTREAM_CONCURRENCY: String(CONCURRENCY), ...environment },
    ...(beside && { databaseUrl: beside.databaseUrl, apiKey: beside.apiKey, dataDir: beside.dataDir }),
  });
  apps.push(app);
  return app;
}
function answerSubmissions(handler: RequestHandler): void {
  upstream.onSubmit = (response, received) => {
    submissionCount += 1;
    handler(response, received);
  };
}
async function generateMany(app: TestApp, promptOf: (n: number) => string): Promise<string[]> {
  const numbers = Array.from({ length: TASK_COUNT }, (_, n) => n);
  const tasks = await Promise.all(
    numbers.map((n) => app.generate({ prompt: promptOf(n), timeoutSeconds: ONE_HOUR })),
  );
  return tasks.map(({ id }) => id);
}
async function countByStatus(app: TestApp): Promise<Record<string, number>> {
  const rows = await app.rows<{ status: string; count: number }>(
    'SELECT status, count(*)::int FROM tasks GROUP BY status',
  );
  return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
}
interface UpstreamHealth {
  ok: boolean;
  error?: string;
  submissionsPerSecond?: number;
}
async function upstreamHealth(app: TestApp): Promise<UpstreamHealth> {
  return ((await app.get('/readyz')).json as { upstream: UpstreamHealth }).upstream;
}

describe('an upstream that answers 429', () => {
  test('for longer than any retry budget costs no task an attempt: all of them wait, and succeed afterwards', async () => {
    const app = await start({ environment: { UPSTREAM_CONCURRENCY: String(TASK_COUNT) } });
    // Without a limit on attempts, seven refusals of each task were enough to end all of them.
    await generateMany(app, (n) => `patient ${n} [sandbox: error=too_many_requests times=7 delay=1ms]`);
    await waitFor(
      'the end of all tasks',
      async () => {
        await resumeTasks(app);
        const { QUEUED = 0, SUBMITTING = 0, RUNNING = 0 } = await countByStatus(app);
        return QUEUED + SUBMITTING + RUNNING === 0;
      },
      { timeoutMs: 60_000 },
    );
    await expect(countByStatus(app)).resolves.toEqual({ SUCCEEDED: TASK_COUNT });
    await expect(app.sandboxCharges('patient')).resolves.toMatchObject({ total: TASK_COUNT });
  }, 90_000);

  test('slows down all instances together, and is not asked again by each task', async () => {
    answerSubmissions(refusal(429, 'too_many_requests'));
    const app = await start();
    await start({ beside: app });
    await generateMany(app, (n) => `slow ${n}`);
    const { submissionsPerSecond } = await waitFor('one submission per second or less', async () => {
      const health = await upstreamHealth(app);
      return (health.submissionsPerSecond ?? Infinity) <= 1 && health;
    });
    expect(submissionsPerSecond).toBeGreaterThan(0);
    await expect(upstreamHealth(app)).resolves.toMatchObject({ ok: true, error: 'UPSTREAM_RATE_LIMITED' });
    // Those under way at the first refusal, and then some for each time that the rate is halved.
    expect(submissionCount).toBeLessThanOrEqual(CONCURRENCY + 20);
    const { QUEUED = 0, SUBMITTING = 0 } = await countByStatus(app);
    expect(QUEUED + SUBMITTING).toBe(TASK_COUNT);

    answerSubmissions(accept);
    await waitFor('all tasks to run', async () => (await countByStatus(app)).RUNNING === TASK_COUNT, {
      timeoutMs: 60_000,
    });
  }, 120_000);

  test('is named by a task whose deadline passes in the meantime', async () => {
    answerSubmissions(refusal(429, 'too_many_requests'));
    const app = await start();
    const { id } = await app.generate({ prompt: 'too late', timeoutSeconds: ONE_HOUR });
    await app.waitForEvent(id, 'SUBMIT_REJECTED');
    const passDeadline = `UPDATE tasks SET deadline_at = now() WHERE id = $1 AND status = 'QUEUED'
      AND NOT EXISTS (SELECT FROM graphile_worker.jobs WHERE task_identifier = 'submit-task' AND locked_at IS NOT NULL)
      RETURNING id`;
    await waitFor('no attempt to be under way', async () => (await app.rows(passDeadline, [id])).length > 0);
    const task = await app.waitUntilSettled(id);
    expect(task).toMatchObject({ status: 'EXPIRED', error: { code: 'DEADLINE_EXCEEDED', retryable: true } });
    expect(task.error?.message).toContain('the upstream is rate limiting requests');
  });
});

describe.each([
  [403, 'used_up', 'UPSTREAM_OUT_OF_CREDIT', 'the upstream account is out of credit'],
  [401, 'invalid_token', 'UPSTREAM_CREDENTIALS', "the upstream rejects Darkroom's API token"],
])('an account that the upstream refuses with %i %s', (status, upstreamCode, code, reason) => {
  test('keeps every task queued on all instances, is reported, and is probed until it works again', async () => {
    answerSubmissions(refusal(status, upstreamCode));
    const app = await start();
    const other = await start({ beside: app });
    const ids = await generateMany(app, (n) => `refused ${n}`);
    for (const instance of [app, other]) {
      await waitFor('/readyz to report it', async () => (await upstreamHealth(instance)).error === code);
      expect((await instance.get('/readyz')).status).toBe(200);
      await expect(upstreamHealth(instance)).resolves.toMatchObject({ ok: false });
    }
    // Those under way at the first refusal, and at most three probes.
    expect(submissionCount).toBeLessThanOrEqual(CONCURRENCY + 3);
    await expect(countByStatus(app)).resolves.toEqual({ QUEUED: TASK_COUNT });

    const [refusedId = ''] = (await app.rows<{ id: string }>('SELECT id FROM tasks WHERE attempts > 0')).map(
      (row) => row.id,
    );
    expect(await app.waitForEvent(refusedId, 'SUBMIT_REJECTED')).toMatchObject({
      data: { attempt: 1, code },
    });
    const neverSentId = ids.find((id) => id !== refusedId) ?? '';
    await app.rows('UPDATE tasks SET deadline_at = now() WHERE id = ANY($1)', [[refusedId, neverSentId]]);
    for (const id of [refusedId, neverSentId]) {
      const { status: ended, error } = await app.waitUntilSettled(id);
      expect([ended, error?.code, error?.upstreamCode]).toEqual([
        'EXPIRED',
        'DEADLINE_EXCEEDED',
        upstreamCode,
      ]);
      expect(error?.message).toContain(reason);
      expect(eventTypes(await app.history(id)).at(-1)).toBe('TASK_EXPIRED');
    }

    answerSubmissions(accept);
    const refusalCount = submissionCount;
    await waitFor(
      'the other tasks to run',
      async () => (await countByStatus(app)).RUNNING === TASK_COUNT - 2,
      {
        timeoutMs: 45_000,
      },
    );
    expect(submissionCount - refusalCount).toBeLessThanOrEqual(TASK_COUNT - 2);
    await waitFor('/readyz to report a working account', async () => (await upstreamHealth(other)).ok);
  }, 90_000);
});

describe('an account that the upstream refuses elsewhere than in the response to a submission', () => {
  const reports: [string, string, (app: TestApp, prompt: string) => Promise<unknown>][] = [
    [
      'a callback',
      'UPSTREAM_OUT_OF_CREDIT',
      async (app, prompt) =>
        app.postBody(await upstream.callbackPath(prompt), upstream.failureCallback('used_up')),
    ],
    [
      'the result of a read',
      'UPSTREAM_OUT_OF_CREDIT',
      (app) => {
        const response = { success: false, error: { code: 'used_up', message: 'why' } };
        const items = ['upstream-task-1'].map((id) => ({ id, finished_at: 1, response }));
        upstream.onRead = reply(200, { items, count: 1 });
        return app.rows("UPDATE tasks SET submitted_at = now() - interval '1 minute'");
      },
    ],
    [
      'the refusal of a read',
      'UPSTREAM_CREDENTIALS',
      (app) => {
        upstream.onRead = refusal(401, 'invalid_token');
        return app.rows("UPDATE tasks SET submitted_at = now() - interval '1 minute'");
      },
    ],
  ];
  test.each(reports)(
    'but in %s closes the gate, and a probe opens it',
    async (_where, code, report) => {
      const app = await start();
      const { id } = await app.generate({ prompt: 'reported', timeoutSeconds: ONE_HOUR });
      await app.waitForEvent(id, 'TASK_SUBMITTED');
      await report(app, 'reported');
      await waitFor('/readyz to report it', async () => (await upstreamHealth(app)).error === code);
      await expect(upstreamHealth(app)).resolves.toMatchObject({ ok: false });
      const probe = await app.generate({ prompt: 'probe', timeoutSeconds: ONE_HOUR });
      await app.waitForEvent(probe.id, 'TASK_SUBMITTED');
      await waitFor('/readyz to report a working account', async () => (await upstreamHealth(app)).ok);
    },
    30_000,
  );

  test('but in a report that is older than the answer to a probe changes nothing', async () => {
    const app = await start();
    const { id } = await app.generate({ prompt: 'old', timeoutSeconds: ONE_HOUR });
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    await app.rows('UPDATE submission_pace SET changed_at = now()');
    await app.postBody(await upstream.callbackPath('old'), upstream.failureCallback('used_up'));
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'FAILED' });
    await expect(upstreamHealth(app)).resolves.toMatchObject({ ok: true });
  });
});

test('all instances together have at most UPSTREAM_CONCURRENCY requests under way', async () => {
  const pendingReplies: (() => void)[] = [];
  let mostPending = 0;
  answerSubmissions((response, received) => {
    pendingReplies.push(() => accept(response, received));
    mostPending = Math.max(mostPending, pendingReplies.length);
  });
  const app = await start();
  await start({ beside: app });
  await generateMany(app, (n) => `one of many ${n}`);
  await waitFor(
    'all submissions',
    () => {
      // A few at a time, so that both instances have free slots while others are taken.
      if (pendingReplies.length >= CONCURRENCY)
        pendingReplies.splice(0, 2).forEach((sendReply) => sendReply());
      else if (submissionCount >= TASK_COUNT) pendingReplies.splice(0).forEach((sendReply) => sendReply());
      return submissionCount === TASK_COUNT && pendingReplies.length === 0;
    },
    { timeoutMs: 60_000 },
  );
  // On a machine so busy that an instance sends no heartbeat, the other one takes over its jobs. Their requests count no more.
  const [unconfirmed] = await app.rows<{ count: number }>(
    "SELECT count(*)::int AS count FROM task_events WHERE type = 'SUBMIT_UNCONFIRMED'",
  );
  expect(mostPending).toBeGreaterThanOrEqual(CONCURRENCY);
  expect(mostPending).toBeLessThanOrEqual(CONCURRENCY + (unconfirmed?.count ?? 0));
}, 90_000);
