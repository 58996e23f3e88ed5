import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { BudgetsDocument, CancelTaskDocument, SetBudgetDocument } from '../../../clients/operations.js';
import { LEDGER_DRIFT } from '../../../src/db/billing/ledger-check.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { reply } from '../../support/net/test-http-server.js';
import { waitFor } from '../../support/wait-for.js';

let upstream: FakeUpstream;
let app: TestApp;
let before: BudgetState;
beforeAll(async () => {
  upstream = await FakeUpstream.open();
  const prices = { PRICES_FILE: 'test/support/billing/prices.json' };
  app = await TestApp.start({ environment: { ...upstream.environment, ...prices } });
  const input = { scope: 'WORKSPACE', amount: '100', currency: 'USD' } as const;
  await app.query(SetBudgetDocument, { input });
});
afterAll(async () => {
  await app.stop();
  await upstream.close();
});
beforeEach(async () => {
  before = await budgetState();
});

interface BudgetState {
  reserved: number;
  spent: number;
  uncertain: number;
}
/** Amounts in tenths of a dollar, the price of one image. */
async function budgetState(): Promise<BudgetState> {
  const [budget] = (await app.query(BudgetsDocument, {})).budgets.nodes;
  const tenths = (amount = '') => Math.round(Number(amount) * 10);
  return {
    reserved: tenths(budget?.reserved),
    spent: tenths(budget?.spent),
    uncertain: tenths(budget?.uncertain),
  };
}
/** Difference to the state at the start of the test. Also expects the ledger to be consistent. */
async function changes(): Promise<BudgetState> {
  const now = await budgetState();
  expect(await app.rows(LEDGER_DRIFT.text)).toMatchObject([{ count: 0, examples: null }]);
  return {
    reserved: now.reserved - before.reserved,
    spent: now.spent - before.spent,
    uncertain: now.uncertain - before.uncertain,
  };
}
/** Creates a task for three images and cancels it while the upstream runs it. Returns it with its callback path. */
async function cancelRunningTask(prompt: string): Promise<{ id: string; path: string }> {
  const { id } = await app.generate({ prompt, count: 3 });
  await app.waitForEvent(id, 'TASK_SUBMITTED');
  expect(await changes()).toEqual({ reserved: 3, spent: 0, uncertain: 0 });
  await app.query(CancelTaskDocument, { input: { id } });
  return { id, path: await upstream.callbackPath(prompt) };
}

describe('charges of a task that was canceled after it was submitted', () => {
  test('the charge becomes uncertain and the final cost is unknown', async () => {
    const { id } = await cancelRunningTask('uncertain');
    expect(await changes()).toEqual({ reserved: 0, spent: 0, uncertain: 3 });
    expect((await app.task(id)).cost).toEqual({ estimated: '0.3', final: null, currency: 'USD' });
  });

  test('late images are charged once, and the rest of the charge is released', async () => {
    const { id, path } = await cancelRunningTask('late');
    for (let time = 1; time <= 3; time += 1) await app.postBody(path, upstream.successCallback(2, 'late'));
    expect(await changes()).toEqual({ reserved: 0, spent: 2, uncertain: 0 });
    expect((await app.task(id)).cost.final).toBe('0.2');
  });

  test('a failure callback releases the charge, and its repetitions change nothing', async () => {
    const { id, path } = await cancelRunningTask('failed');
    for (let time = 1; time <= 3; time += 1) await app.postBody(path, upstream.failureCallback('api_error'));
    expect(await changes()).toEqual({ reserved: 0, spent: 0, uncertain: 0 });
    expect((await app.task(id)).cost.final).toBe('0');
  });
});

describe('charges of a task whose submission is refused after the task has moved on', () => {
  const refusal = (code: string) => ({ error: { code, message: 'why' } });
  const refusals: [string, number][] = [
    ['invalid_token', 401],
    ['too_many_requests', 429],
  ];

  /** Creates a task and holds the response to its submission until the returned function is called. */
  async function holdSubmission(prompt: string): Promise<{ id: string; refuse: () => void }> {
    const before = upstream.onSubmit;
    let refuse = (): void => undefined;
    const isHeld = new Promise<void>((resolve) => {
      upstream.onSubmit = (response, received) => {
        upstream.onSubmit = before;
        const [code = '', status = 0] = refusals.find(([name]) => prompt.endsWith(name)) ?? [];
        refuse = () => reply(status, refusal(code))(response, received);
        resolve();
      };
    });
    const { id } = await app.generate({ prompt, count: 3 });
    await isHeld;
    return { id, refuse };
  }

  test.each(refusals)('the uncertain amount of a canceled task is released after %s', async (code) => {
    const { id, refuse } = await holdSubmission(`canceled, then ${code}`);
    await app.query(CancelTaskDocument, { input: { id } });
    expect(await changes()).toEqual({ reserved: 0, spent: 0, uncertain: 3 });
    refuse();
    await waitFor('the release', async () => (await changes()).uncertain === 0);
    expect((await app.task(id)).cost.final).toBe('0');
    expect((await app.task(id)).status).toBe('CANCELED');
  });

  test.each(refusals)('the uncertain amount of an expired task is released after %s', async (code) => {
    const { id, refuse } = await holdSubmission(`expired, then ${code}`);
    await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
    await app.waitForEvent(id, 'TASK_EXPIRED');
    expect(await changes()).toEqual({ reserved: 0, spent: 0, uncertain: 3 });
    refuse();
    await waitFor('the release', async () => (await changes()).uncertain === 0);
    expect((await app.task(id)).cost.final).toBe('0');
  });

  test.each(refusals)('an unconfirmed task stays reserved after %s, and is sent again', async (code) => {
    const { id, refuse } = await holdSubmission(`unconfirmed, then ${code}`);
    // Another run of the job does this when it takes the sending process for dead.
    await app.rows("UPDATE tasks SET status = 'UNCONFIRMED' WHERE id = $1", [id]);
    refuse();
    await app.waitForEvent(id, 'SUBMIT_REJECTED');
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    expect(await changes()).toEqual({ reserved: 3, spent: 0, uncertain: 0 });
    expect((await app.task(id)).cost.final).toBeNull();
  });
});

describe('charges of a task that expired while the upstream was running it', () => {
  test('the charge becomes uncertain and is spent once a late image arrives', async () => {
    const { id } = await app.generate({ prompt: 'expires', count: 1 });
    await app.waitForEvent(id, 'TASK_SUBMITTED');
    await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
    await app.waitForEvent(id, 'TASK_EXPIRED');
    expect(await changes()).toEqual({ reserved: 0, spent: 0, uncertain: 1 });
    await app.postBody(await upstream.callbackPath('expires'), upstream.successCallback(1, 'expires'));
    await waitFor('the late image', async () => (await app.task(id)).lateImages.length === 1);
    expect(await changes()).toEqual({ reserved: 0, spent: 1, uncertain: 0 });
  });
});
