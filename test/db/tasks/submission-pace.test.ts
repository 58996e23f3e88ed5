import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type TaskFailure } from '../../../src/core/tasks/task-failure.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { SubmissionPaceRepository } from '../../../src/db/tasks/submission-pace-repository.js';
import { SchedulerFixture, type SchedulerInstance } from '../../support/tasks/scheduler-fixture.js';
import { waitFor } from '../../support/wait-for.js';

const FAILURE: TaskFailure = {
  ...{
    code: 'UPSTREAM_OUT_OF_CREDIT',
    message: 'why',
    retryable: true,
    upstreamCode: null,
    upstreamTraceId: null,
  },
};
const REFUSAL = { retryAfterMs: null, failure: FAILURE, sentMsAgo: 0 };

let fixture: SchedulerFixture;
let instance: SchedulerInstance;
let pace: SubmissionPaceRepository;
beforeEach(async () => {
  fixture = await SchedulerFixture.open();
  instance = fixture.addInstance();
  pace = new SubmissionPaceRepository(instance.db);
});
afterEach(async () => fixture.close());

const enqueue = (count: number) => fixture.enqueueMany(count, { workspaceId: newId() });
/** The outcome of a claim with a new job. */
async function claim() {
  const job = { ...(await fixture.takeJob()), submissionId: newId() };
  return (await instance.tasks.claimNextTasks([job], 100))[0];
}
/** Claims with one job until there is a task, for at most `timeoutMs`. */
async function claimWithin(timeoutMs: number) {
  const job = { ...(await fixture.takeJob()), submissionId: newId() };
  const picked = async () => {
    const [result] = await instance.tasks.claimNextTasks([job], 100);
    return result?.outcome === 'PICKED' && result;
  };
  return waitFor('a task to be picked', picked, { timeoutMs });
}
const setPace = (assignments: string) => fixture.sql.query(`UPDATE submission_pace SET ${assignments}`);
const slowDown = (kind: 'RATE' | 'ACCOUNT') =>
  waitFor('the pace to change', async () => (await pace.slowDown({ kind, ...REFUSAL })).changed);

/** The account has been refused for a while, and is probed every 4 s. The next probe is due. */
const refusedAccount = () =>
  setPace(
    `kind = 'ACCOUNT', rate = 1.0/4, failure = '{}', changed_at = now() - interval '40 s', paused_until = now()`,
  );
/** The upstream has had too much to do until now, so there is one submission in 4 s. */
const slowUpstream = () =>
  setPace(
    `kind = 'RATE', rate = 1.0/4, failure = '{}', changed_at = now(), refused_at = now(), paused_until = now()`,
  );

describe('the next submission', () => {
  test('is soon when a probe was accepted and the upstream then has too much to do', async () => {
    await enqueue(2);
    await refusedAccount();
    await expect(claim()).resolves.toMatchObject({ outcome: 'PICKED', isProbe: true });
    await expect(pace.speedUp(0)).resolves.toBe(true);
    await slowDown('RATE');
    await expect(claimWithin(5_000)).resolves.toMatchObject({ isProbe: true });
  });

  test.each<[string, () => Promise<unknown>]>([
    ['a submission', () => slowDown('ACCOUNT')],
    ['a report', () => waitFor('the report', () => pace.probeOnly({ failure: FAILURE, taskId: null }))],
  ])(
    'is a probe after 2 s when %s is refused because of the account, however slow it was',
    async (_by, refuse) => {
      await enqueue(2);
      await slowUpstream();
      await expect(claim()).resolves.toMatchObject({ outcome: 'PICKED', isProbe: true });
      await refuse();
      await expect(claimWithin(8_000)).resolves.toMatchObject({ isProbe: true });
    },
  );

  test('is due at the rate of the pick, even if the rate changed while the claim waited', async () => {
    await enqueue(2);
    await refusedAccount();
    const holder = await fixture.sql.connect();
    try {
      await holder.query('BEGIN');
      await holder.query('SELECT FROM scheduler_head FOR UPDATE');
      const waiting = claim();
      await waitFor('the claim to wait', async () => {
        const { rows } = await fixture.sql.query(
          `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
        );
        return rows.length > 0;
      });
      await pace.speedUp(0);
      await holder.query('COMMIT');
      await expect(waiting).resolves.toMatchObject({ outcome: 'PICKED', isProbe: false });
    } finally {
      holder.release();
    }
    const { rows } = await fixture.sql.query('SELECT next_submission_at AS at FROM scheduler_head');
    expect(rows).toEqual([{ at: null }]);
  });
});

describe('after 429', () => {
  const rate = async () => (await pace.find()).submissionsPerSecond;
  const speedUp = () =>
    waitFor('a new moment', async () => {
      const { rows } = await fixture.sql.query('SELECT FROM submission_pace WHERE changed_at < now()');
      return rows.length > 0 && pace.speedUp(0).then(() => true);
    });
  const refuseUntil = async (limit: number) => {
    do await slowDown('RATE');
    while (((await rate()) ?? Infinity) > limit);
  };

  test('to every submission for a while, four accepted ones are enough to remove the limit', async () => {
    await refuseUntil(0.3);
    await expect(rate()).resolves.toBeCloseTo(0.25, 1);
    for (const expected of [2, 16]) {
      await speedUp();
      expect(await rate()).toBeGreaterThanOrEqual(expected);
    }
    await speedUp();
    await expect(rate()).resolves.toBeNull();
    await expect(pace.find()).resolves.toMatchObject({ kind: null, failure: null });
  });

  test('to a rate that had been accepted, acceptances raise the rate up to half of it only', async () => {
    await refuseUntil(2);
    await speedUp();
    await slowDown('RATE');
    const { rows } = await fixture.sql.query<{ safeRate: number }>(
      'SELECT safe_rate AS "safeRate" FROM submission_pace',
    );
    const safeRate = rows[0]?.safeRate ?? 0;
    expect(safeRate).toBeGreaterThanOrEqual(4);
    await slowDown('RATE');
    await slowDown('RATE');
    await speedUp();
    const raised = (await rate()) ?? 0;
    expect(raised).toBeGreaterThanOrEqual(safeRate);
    // It doubles every 5 s by itself.
    expect(raised).toBeLessThan(safeRate * 2);
  });

  test('an acceptance of a submission that was sent before it changes nothing', async () => {
    await slowDown('RATE');
    await pace.speedUp(60_000);
    expect(await rate()).toBeLessThan(32);
  });

  test('a probe is the first submission, and then none once the rate is the safe one', async () => {
    await enqueue(3);
    await setPace(
      `kind = 'RATE', rate = 16, safe_rate = 16, failure = '{}', refused_at = now(), changed_at = now()`,
    );
    await expect(claimWithin(5_000)).resolves.toMatchObject({ isProbe: true });
    await speedUp();
    await expect(claimWithin(5_000)).resolves.toMatchObject({ isProbe: false });
  });
});

describe('a reported refusal of the account', () => {
  /** A task whose submission began at one time before now and was never answered. The pace changed a minute ago. */
  async function unconfirmedTask({
    ageMinutes,
    sentMinutesAgo,
  }: {
    ageMinutes: number;
    sentMinutesAgo: number;
  }) {
    const [id = ''] = await enqueue(1);
    await claim();
    const hex = (Date.now() - sentMinutesAgo * 60_000).toString(16).padStart(12, '0');
    const submissionId = `${hex.slice(0, 8)}-${hex.slice(8)}${newId().slice(13)}`;
    await fixture.sql.query(
      `UPDATE tasks SET status = 'UNCONFIRMED', submit_job_id = NULL, submission_id = $2,
         created_at = now() - make_interval(mins => $3) WHERE id = $1`,
      [id, submissionId, ageMinutes],
    );
    await setPace(`kind = NULL, rate = NULL, changed_at = now() - interval '1 min'`);
    return id;
  }

  test('closes no gate that was opened after the submission, although the upstream never answered it', async () => {
    const taskId = await unconfirmedTask({ ageMinutes: 9, sentMinutesAgo: 8 });
    await expect(pace.probeOnly({ failure: FAILURE, taskId })).resolves.toBe(false);
  });

  test('closes no gate that was opened after the task was created, if nothing is known of its submission', async () => {
    const taskId = await unconfirmedTask({ ageMinutes: 9, sentMinutesAgo: 0 });
    await fixture.sql.query('UPDATE tasks SET submission_id = NULL');
    await expect(pace.probeOnly({ failure: FAILURE, taskId })).resolves.toBe(false);
  });

  test('closes the gate when the submission is newer, however old its task is', async () => {
    const taskId = await unconfirmedTask({ ageMinutes: 9, sentMinutesAgo: 0 });
    await expect(pace.probeOnly({ failure: FAILURE, taskId })).resolves.toBe(true);
    await expect(pace.probeOnly({ failure: FAILURE, taskId })).resolves.toBe(false);
  });
});
