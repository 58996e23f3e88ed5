import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestApp, typesOf } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ tuning: { askUpstreamAfterMs: 1_000 } });
});
afterAll(() => app.stop());

/** What each of the upstream's codes becomes, and whether asking again may help. */
const CODES = [
  ['token_mismatched', 'UPSTREAM_BAD_REQUEST', false],
  ['api_not_implemented', 'UPSTREAM_BAD_REQUEST', false],
  ['bad_request', 'UPSTREAM_BAD_REQUEST', false],
  ['no_api', 'UPSTREAM_BAD_REQUEST', false],
  ['no_token', 'UPSTREAM_CREDENTIALS', true],
  ['invalid_token', 'UPSTREAM_CREDENTIALS', true],
  ['token_expired', 'UPSTREAM_CREDENTIALS', true],
  ['used_up', 'UPSTREAM_OUT_OF_CREDIT', true],
  ['disabled', 'UPSTREAM_DISABLED', true],
  ['forbidden', 'CONTENT_REJECTED', false],
] as const;
/** These are sent again by us while a refused submission costs nothing. */
const PASSING = [
  ['too_many_requests', 'UPSTREAM_RATE_LIMITED', true],
  ['api_error', 'UPSTREAM_FAILED', true],
] as const;

describe('a submission that the upstream refuses', () => {
  test.each(CODES)('with %s fails the task with %s', async (upstreamCode, code, retryable) => {
    const prompt = `refused [sandbox: error=${upstreamCode}]`;
    const { id } = await app.generate({ prompt });
    const task = await app.settled(id);
    expect(task).toMatchObject({ status: 'FAILED', error: { code, retryable, upstreamCode } });
    expect(task.error?.message).toMatch(/^[A-Z].*[."]$/s);
    expect(task.upstreamTraceId).toBe(task.error?.upstreamTraceId);
    expect(typesOf(await app.history(id))).toEqual(['TASK_REQUESTED', 'TASK_FAILED']);
    await expect(app.billed(prompt)).resolves.toMatchObject({ total: 0 });
  });

  test.each(PASSING.map(([upstreamCode, code]) => ({ upstreamCode, code })))(
    'with $upstreamCode is sent again when it is time, and is made once',
    async ({ upstreamCode, code }) => {
      const prompt = `passing [sandbox: error=${upstreamCode} times=1]`;
      const { id, cursor } = await app.generate({ prompt });
      const watch = app.watchTask(id, cursor);
      await watch.ended;
      const [, rejected, submitted] = watch.received;
      expect(typesOf(watch.received)).toEqual([
        'TASK_REQUESTED',
        'SUBMIT_REJECTED',
        'TASK_SUBMITTED',
        'TASK_SUCCEEDED',
        'IMAGE_STORED',
      ]);
      expect(rejected?.data).toMatchObject({ attempt: 1, code });
      expect(submitted?.data).toMatchObject({ attempt: 2 });
      const { retryAt } = rejected?.data as { retryAt: string };
      expect(Date.parse(String(submitted?.at))).toBeGreaterThanOrEqual(Date.parse(retryAt));
      await expect(app.billed(prompt)).resolves.toMatchObject({ total: 1 });
    },
  );

  test('with too_many_requests for ever, fails the task when the next try would be after its deadline', async () => {
    const prompt = 'never [sandbox: error=too_many_requests]';
    const { id } = await app.generate({ prompt });
    await app.happened(id, 'SUBMIT_REJECTED');
    await app.rows("UPDATE tasks SET deadline_at = now() + interval '1.2 seconds' WHERE id = $1", [id]);
    const task = await app.settled(id);
    expect(['FAILED', 'EXPIRED']).toContain(task.status);
    expect(task.error).toMatchObject({ retryable: true });
    await expect(app.billed(prompt)).resolves.toMatchObject({ total: 0 });
  });
});

describe('a generation that fails at the upstream', () => {
  test.each([...CODES, ...PASSING])(
    'with %s fails the task with %s',
    async (upstreamCode, code, retryable) => {
      const { id } = await app.generate({ prompt: `failed [sandbox: fail=${upstreamCode}]` });
      const task = await app.settled(id);
      expect(task).toMatchObject({ status: 'FAILED', error: { code, retryable, upstreamCode } });
      const history = await app.history(id);
      expect(typesOf(history)).toEqual(['TASK_REQUESTED', 'TASK_SUBMITTED', 'TASK_FAILED']);
      expect(history.at(-1)).toMatchObject({ actor: 'upstream callback', data: { error: task.error } });
    },
  );

  test('with no picture at all, is a failure and not an empty success', async () => {
    const { id } = await app.generate({ prompt: 'none [sandbox: images=0]' });
    await expect(app.settled(id)).resolves.toMatchObject({
      status: 'FAILED',
      deliveredCount: 0,
      error: { code: 'UPSTREAM_FAILED' },
    });
  });

  test('is not announced by a hiccup that it shows while it runs', async () => {
    const prompt = 'hiccup [sandbox: delay=1600ms hiccup callback=lost]';
    const { id } = await app.generate({ prompt });
    await expect(app.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });
});

describe('an answer that leaves open whether the request arrived', () => {
  test.each(['dropped', 'html', 'timeout'])(
    'reply=%s: the request is not sent again, and its callback still ends the task',
    async (reply) => {
      const prompt = `ambiguous [sandbox: reply=${reply} delay=3s]`;
      const { id } = await app.generate({ prompt });
      await app.happened(id, 'SUBMIT_UNCONFIRMED');
      expect((await app.task(id)).status).toBe('UNCONFIRMED');
      const task = await app.settled(id);
      expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1, error: null });
      expect(task.upstreamTaskId).not.toBeNull();
      expect(typesOf(await app.history(id))).toEqual([
        'TASK_REQUESTED',
        'SUBMIT_UNCONFIRMED',
        'TASK_SUCCEEDED',
        'IMAGE_STORED',
      ]);
      await expect(app.billed(prompt)).resolves.toMatchObject({ total: 1 });
    },
  );

  test.each(['error=bare', 'error=timeout'])('%s: the request is not sent again', async (directive) => {
    const { id } = await app.generate({ prompt: `open [sandbox: ${directive}]` });
    await app.happened(id, 'SUBMIT_UNCONFIRMED');
    await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
    await expect(app.settled(id)).resolves.toMatchObject({
      status: 'EXPIRED',
      error: { code: 'SUBMIT_UNCONFIRMED', retryable: true },
    });
  });

  test('and no callback: the deadline ends the task and says that it is not known', async () => {
    const prompt = 'silence [sandbox: reply=dropped callback=lost]';
    const { id } = await app.generate({ prompt, timeoutSeconds: 10 });
    await app.happened(id, 'SUBMIT_UNCONFIRMED');
    await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
    const task = await app.settled(id);
    expect(task).toMatchObject({ status: 'EXPIRED', error: { code: 'SUBMIT_UNCONFIRMED', retryable: true } });
    expect(typesOf(await app.history(id))).toEqual(['TASK_REQUESTED', 'SUBMIT_UNCONFIRMED', 'TASK_EXPIRED']);
    await waitFor('the picture to be made', async () => (await app.billed(prompt)).total > 0);
    await expect(app.billed(prompt)).resolves.toMatchObject({ total: 1 });
  });
});

describe('the callback', () => {
  test('sent twice at once is applied once', async () => {
    const { id } = await app.generate({ prompt: 'twice [sandbox: callback=twice]', count: 3 });
    await expect(app.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 3 });
    const types = typesOf(await app.history(id));
    expect(types.filter((type) => type === 'TASK_SUCCEEDED')).toHaveLength(1);
    expect(types.filter((type) => type === 'IMAGE_STORED')).toHaveLength(3);
  });

  test('that overtakes the reply to the submission ends the task all the same', async () => {
    const prompt = 'early [sandbox: callback=early]';
    const { id } = await app.generate({ prompt });
    const task = await app.settled(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    expect(task.upstreamTaskId).not.toBeNull();
    expect(task.submittedAt).not.toBeNull();
    expect(typesOf(await app.history(id))).toEqual(['TASK_REQUESTED', 'TASK_SUCCEEDED', 'IMAGE_STORED']);
    await expect(app.billed(prompt)).resolves.toMatchObject({ total: 1 });
  });

  test('that is lost is made up for by reading', async () => {
    const { id } = await app.generate({ prompt: 'lost [sandbox: callback=lost]' });
    await expect(app.settled(id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    expect((await app.happened(id, 'TASK_SUCCEEDED')).actor).toBe('reconciler');
  });

  test('of a failure that is lost is made up for by reading', async () => {
    const { id } = await app.generate({ prompt: 'lost failure [sandbox: callback=lost fail=forbidden]' });
    await expect(app.settled(id)).resolves.toMatchObject({
      status: 'FAILED',
      error: { code: 'CONTENT_REJECTED' },
    });
    expect((await app.happened(id, 'TASK_FAILED')).actor).toBe('reconciler');
  });
});
