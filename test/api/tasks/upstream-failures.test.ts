import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TestApp, eventTypes } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({ tuning: { readUpstreamAfterMs: 1_000 } });
});
afterAll(() => app.stop());

/** Error codes of the upstream, our code for each of them, and whether a retry can succeed. */
const PERMANENT_CODES = [
  ['token_mismatched', 'UPSTREAM_BAD_REQUEST', false],
  ['api_not_implemented', 'UPSTREAM_BAD_REQUEST', false],
  ['bad_request', 'UPSTREAM_BAD_REQUEST', false],
  ['no_api', 'UPSTREAM_BAD_REQUEST', false],
  ['forbidden', 'CONTENT_REJECTED', false],
] as const;
/** A submission refused with one of these codes is repeated, because it cost nothing. */
const TEMPORARY_CODES = [
  ['no_token', 'UPSTREAM_CREDENTIALS', true],
  ['invalid_token', 'UPSTREAM_CREDENTIALS', true],
  ['token_expired', 'UPSTREAM_CREDENTIALS', true],
  ['used_up', 'UPSTREAM_OUT_OF_CREDIT', true],
  ['disabled', 'UPSTREAM_DISABLED', true],
  ['too_many_requests', 'UPSTREAM_RATE_LIMITED', true],
  ['api_error', 'UPSTREAM_FAILED', true],
] as const;

describe('a submission that the upstream refuses', () => {
  test.each(PERMANENT_CODES)('with %s fails the task with %s', async (upstreamCode, code, retryable) => {
    const prompt = `refused [sandbox: error=${upstreamCode}]`;
    const { id } = await app.generate({ prompt });
    const task = await app.waitUntilSettled(id);
    expect(task).toMatchObject({ status: 'FAILED', error: { code, retryable, upstreamCode } });
    expect(task.error?.message).toMatch(/^[A-Z].*[."]$/s);
    expect(task.upstreamTraceId).toBe(task.error?.upstreamTraceId);
    expect(eventTypes(await app.history(id))).toEqual(['TASK_REQUESTED', 'TASK_FAILED']);
    await expect(app.sandboxCharges(prompt)).resolves.toMatchObject({ total: 0 });
  });

  test.each(TEMPORARY_CODES.map(([upstreamCode, code]) => ({ upstreamCode, code })))(
    'with $upstreamCode is repeated at its retry time, and the images are generated once',
    async ({ upstreamCode, code }) => {
      const prompt = `temporary [sandbox: error=${upstreamCode} times=1]`;
      const { id, eventCursor } = await app.generate({ prompt });
      const subscription = app.subscribeToTask(id, eventCursor);
      await subscription.ended;
      const [, rejected, submitted] = subscription.received;
      expect(eventTypes(subscription.received)).toEqual([
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
      await expect(app.sandboxCharges(prompt)).resolves.toMatchObject({ total: 1 });
    },
  );

  test('with api_error every time fails the task when the next attempt would be after its deadline', async () => {
    const prompt = 'never [sandbox: error=api_error]';
    const { id } = await app.generate({ prompt });
    await app.waitForEvent(id, 'SUBMIT_REJECTED');
    await app.rows("UPDATE tasks SET deadline_at = now() + interval '3 seconds' WHERE id = $1", [id]);
    const task = await app.waitUntilSettled(id);
    expect(['FAILED', 'EXPIRED']).toContain(task.status);
    expect(task.error).toMatchObject({ retryable: true });
    await expect(app.sandboxCharges(prompt)).resolves.toMatchObject({ total: 0 });
  });
});

describe('a generation that fails at the upstream', () => {
  test.each([...PERMANENT_CODES, ...TEMPORARY_CODES])(
    'with %s fails the task with %s',
    async (upstreamCode, code, retryable) => {
      const { id } = await app.generate({ prompt: `failed [sandbox: fail=${upstreamCode}]` });
      const task = await app.waitUntilSettled(id);
      expect(task).toMatchObject({ status: 'FAILED', error: { code, retryable, upstreamCode } });
      const history = await app.history(id);
      expect(eventTypes(history)).toEqual(['TASK_REQUESTED', 'TASK_SUBMITTED', 'TASK_FAILED']);
      expect(history.at(-1)).toMatchObject({ actor: 'upstream callback', data: { error: task.error } });
    },
  );

  test('without any image fails the task instead of succeeding with no images', async () => {
    const { id } = await app.generate({ prompt: 'none [sandbox: images=0]' });
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({
      status: 'FAILED',
      deliveredCount: 0,
      error: { code: 'UPSTREAM_FAILED' },
    });
  });

  test('is not reported for a passing error of a running generation', async () => {
    const prompt = 'hiccup [sandbox: delay=1600ms hiccup callback=lost]';
    const { id } = await app.generate({ prompt });
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED' });
  });
});

describe('a reply that does not tell whether the upstream accepted the request', () => {
  test.each(['dropped', 'html', 'timeout'])(
    'reply=%s: the request is not repeated, and its callback still ends the task',
    async (replyFault) => {
      const prompt = `ambiguous [sandbox: reply=${replyFault} delay=3s]`;
      const { id } = await app.generate({ prompt });
      await app.waitForEvent(id, 'SUBMIT_UNCONFIRMED');
      expect((await app.task(id)).status).toBe('UNCONFIRMED');
      const task = await app.waitUntilSettled(id);
      expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1, error: null });
      expect(task.upstreamTaskId).not.toBeNull();
      expect(eventTypes(await app.history(id))).toEqual([
        'TASK_REQUESTED',
        'SUBMIT_UNCONFIRMED',
        'TASK_SUCCEEDED',
        'IMAGE_STORED',
      ]);
      await expect(app.sandboxCharges(prompt)).resolves.toMatchObject({ total: 1 });
    },
  );

  test.each(['error=bare', 'error=timeout'])('%s: the request is not repeated', async (directive) => {
    const { id } = await app.generate({ prompt: `unconfirmed [sandbox: ${directive}]` });
    await app.waitForEvent(id, 'SUBMIT_UNCONFIRMED');
    await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({
      status: 'EXPIRED',
      error: { code: 'SUBMIT_UNCONFIRMED', retryable: false },
    });
  });

  test('and no callback: the deadline ends the task with SUBMIT_UNCONFIRMED', async () => {
    const prompt = 'silence [sandbox: reply=dropped callback=lost]';
    const { id } = await app.generate({ prompt, timeoutSeconds: 10 });
    await app.waitForEvent(id, 'SUBMIT_UNCONFIRMED');
    await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
    const task = await app.waitUntilSettled(id);
    expect(task).toMatchObject({
      status: 'EXPIRED',
      error: { code: 'SUBMIT_UNCONFIRMED', retryable: false },
    });
    expect(eventTypes(await app.history(id))).toEqual([
      'TASK_REQUESTED',
      'SUBMIT_UNCONFIRMED',
      'TASK_EXPIRED',
    ]);
    await waitFor('the image to be generated', async () => (await app.sandboxCharges(prompt)).total > 0);
    await expect(app.sandboxCharges(prompt)).resolves.toMatchObject({ total: 1 });
  });
});

describe('an upstream callback', () => {
  test('that arrives twice at once is applied once', async () => {
    const { id } = await app.generate({ prompt: 'twice [sandbox: callback=twice]', count: 3 });
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 3 });
    const types = eventTypes(await app.history(id));
    expect(types.filter((type) => type === 'TASK_SUCCEEDED')).toHaveLength(1);
    expect(types.filter((type) => type === 'IMAGE_STORED')).toHaveLength(3);
  });

  test('that arrives before the reply to the submission ends the task', async () => {
    const prompt = 'early [sandbox: callback=early]';
    const { id } = await app.generate({ prompt });
    const task = await app.waitUntilSettled(id);
    expect(task).toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    expect(task.upstreamTaskId).not.toBeNull();
    expect(task.submittedAt).not.toBeNull();
    expect(eventTypes(await app.history(id))).toEqual(['TASK_REQUESTED', 'TASK_SUCCEEDED', 'IMAGE_STORED']);
    await expect(app.sandboxCharges(prompt)).resolves.toMatchObject({ total: 1 });
  });

  test('that is lost is replaced by a status request', async () => {
    const { id } = await app.generate({ prompt: 'lost [sandbox: callback=lost]' });
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({ status: 'SUCCEEDED', deliveredCount: 1 });
    expect((await app.waitForEvent(id, 'TASK_SUCCEEDED')).actor).toBe('reconciler');
  });

  test('that is lost and reports a failure is replaced by a status request', async () => {
    const { id } = await app.generate({ prompt: 'lost failure [sandbox: callback=lost fail=forbidden]' });
    await expect(app.waitUntilSettled(id)).resolves.toMatchObject({
      status: 'FAILED',
      error: { code: 'CONTENT_REJECTED' },
    });
    expect((await app.waitForEvent(id, 'TASK_FAILED')).actor).toBe('reconciler');
  });
});
