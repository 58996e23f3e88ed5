import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { FLUX_ERROR_CODES, FLUX_ERRORS, fluxCodeOf } from '../../../src/core/flux-api/flux-errors.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { TASK_ERROR_CODES } from '../../../src/core/tasks/task-failure.js';
import { type TaskStatus } from '../../../src/core/tasks/task.js';
import { SubmissionPaceRepository } from '../../../src/db/tasks/submission-pace-repository.js';
import { type EventLog } from '../../../src/event-log/event-log.js';
import { BackPressure } from '../../../src/services/tasks/back-pressure.js';
import { Results } from '../../../src/services/tasks/results.js';
import { errorFromFailedRequest, errorFromResponse } from '../../../src/upstreams/acedata-errors.js';
import {
  toCallbackResult,
  toTaskResult,
  type UpstreamResult,
} from '../../../src/upstreams/acedata-results.js';
import { parseReply, parseTasks } from '../../../src/upstreams/acedata-wire.js';
import { RequestFailed } from '../../../src/net/request-failed.js';
import { LedgerFixture } from '../../support/billing/ledger-fixture.js';

let ledger: LedgerFixture;
let results: Results;
beforeAll(async () => {
  ledger = await LedgerFixture.open();
  const eventLog = { requestSeal: () => undefined } as unknown as EventLog;
  const log = pino({ level: 'silent' });
  const submissionPace = new SubmissionPaceRepository(ledger.db);
  const backPressure = new BackPressure({ submissionPace, log });
  results = new Results({ tasks: ledger.tasks, eventLog, backPressure, log });
});
afterAll(() => ledger.close());

/** What the upstream can say: each documented code, one that nobody knows, none, and a plain string. */
const ERRORS: [string, unknown][] = [
  ...FLUX_ERROR_CODES.map((code): [string, unknown] => [code, { code, message: 'why' }]),
  ['an unknown code', { code: 'never_heard_of', message: 'why' }],
  ['an error without a code', { message: 'why' }],
  ['a plain string', 'why'],
];
/** The upstream documents that it makes nothing after these. */
const CERTAINLY_NOT_MADE: readonly string[] = FLUX_ERROR_CODES.filter((code) => code !== 'timeout');

const BEFORE = ['SUBMITTING', 'UNCONFIRMED', 'RUNNING', 'CANCELED', 'EXPIRED', 'SUCCEEDED'] as const;

/** A task in this status, in its first attempt. A task that has ended was sent before. */
async function taskIn(status: TaskStatus): Promise<string> {
  const id = await ledger.requestOrThrow(2);
  await ledger.send(id);
  if (status === 'UNCONFIRMED') await ledger.tasks.transitionTo(id, 'UNCONFIRMED');
  if (status !== 'SUBMITTING' && status !== 'UNCONFIRMED') await ledger.accept(id);
  if (status === 'SUCCEEDED') await ledger.succeed(id, 1);
  else if (status !== 'SUBMITTING' && status !== 'UNCONFIRMED' && status !== 'RUNNING')
    await ledger.tasks.transitionTo(id, status, {
      failure: {
        ...{ code: 'DEADLINE_EXCEEDED', message: 'Too late.', retryable: false },
        ...{ upstreamCode: null, upstreamTraceId: null },
      },
    });
  return id;
}

/** Every way in which an error arrives. */
const WAYS = {
  'a response with its documented status': (id: string, error: unknown) =>
    refuse(id, FLUX_ERRORS[(error as { code: keyof typeof FLUX_ERRORS }).code]?.status ?? 500, error),
  'a response with the status 200': (id: string, error: unknown) => refuse(id, 200, error),
  'a callback': (id: string, error: unknown) =>
    report(id, toCallbackResult(wireReply({ success: false, task_id: 'upstream', error }))),
  'a read': (id: string, error: unknown) => {
    const response = { success: false, task_id: 'upstream', error };
    const [task] = parseTasks({ items: [{ id: 'upstream', finished_at: 1, response }], count: 1 }) ?? [];
    return report(id, task ? toTaskResult(task) : null);
  },
};

async function refuse(id: string, status: number, error: unknown): Promise<void> {
  const response = { status, headers: {}, body: wireReply({ success: false, error }) };
  const task = { id, attempts: 1, uncountedAttempts: 0 };
  await results.applySubmitFailure(task, errorFromResponse(response, 'submit'));
}
async function report(id: string, result: UpstreamResult | null): Promise<void> {
  if (result?.kind !== 'failed') throw new Error('The upstream reported no failure.');
  const callback = { id: newId(), attempt: 1, body: Buffer.from('{}') };
  await results.apply(id, result, { actor: 'test', callback });
}
function wireReply(body: object) {
  const reply = parseReply(body);
  if (!reply) throw new Error('The reply cannot be parsed.');
  return reply;
}

async function readMoney(id: string) {
  const { rows } = await ledger.sql.query<{ uncertain: number; spent: number; retryable: boolean | null }>(
    `SELECT uncertain::float, spent::float, (failure ->> 'retryable')::boolean AS retryable FROM tasks WHERE id = $1`,
    [id],
  );
  return rows[0] ?? { uncertain: NaN, spent: NaN, retryable: null };
}

describe('a failure invites a retry only if it is certain that nothing was made', () => {
  describe.each(Object.entries(WAYS))('%s', (_way, apply) => {
    test.each(ERRORS)('with %s, in every status', async (code, error) => {
      for (const status of BEFORE) {
        const id = await taskIn(status);
        await apply(id, error);
        const { uncertain, spent, retryable } = await readMoney(id);
        const mayBeBilled = uncertain > 0 || spent > 0 || !CERTAINLY_NOT_MADE.includes(code);
        expect({ status, mayInvite: !(retryable === true && mayBeBilled) }).toEqual({
          status,
          mayInvite: true,
        });
      }
      expect(await ledger.countDrift()).toBe(0);
    });
  });

  test('and no longer when images arrive after all', async () => {
    for (const [, error] of ERRORS) {
      const id = await taskIn('RUNNING');
      await WAYS['a callback'](id, error);
      await ledger.late(id, 1);
      await expect(readMoney(id)).resolves.toEqual({ uncertain: 0, spent: 0.1, retryable: false });
    }
    const { rows } = await ledger.sql.query<{ message: string }>(
      `SELECT DISTINCT failure ->> 'message' AS message FROM tasks WHERE late_image_count > 0
         AND failure ->> 'code' = 'UPSTREAM_FAILED' AND failure ->> 'upstreamCode' = 'api_error'`,
    );
    expect(rows.map(({ message }) => message).join()).toContain('`lateImages`');
  });

  test('also in the code that clients of the Flux API go by', () => {
    for (const code of TASK_ERROR_CODES)
      expect(['api_error', 'too_many_requests']).not.toContain(fluxCodeOf({ code, retryable: false }));
  });

  test('a request that left this process, without a response, invites none', () => {
    const failed = (sent: 'no' | 'maybe') => errorFromFailedRequest(new RequestFailed(sent, 'why'), 'submit');
    expect(failed('maybe').failure.retryable).toBe(false);
    expect(failed('no').failure.retryable).toBe(true);
  });
});
