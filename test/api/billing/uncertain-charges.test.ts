import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { BudgetsDocument, CancelTaskDocument, SetBudgetDocument } from '../../../clients/operations.js';
import { LEDGER_DRIFT } from '../../../src/db/billing/ledger-check.js';
import { TestApp } from '../../support/app/test-app.js';
import { FakeUpstream } from '../../support/upstreams/fake-upstream.js';
import { waitFor } from '../../support/wait-for.js';

let upstream: FakeUpstream;
let app: TestApp;
let before: Standing;
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
  before = await standing();
});

interface Standing {
  reserved: number;
  spent: number;
  held: number;
}
/** In tenths, which is what a picture costs. */
async function standing(): Promise<Standing> {
  const [budget] = (await app.query(BudgetsDocument, {})).budgets.nodes;
  const tenths = (amount = '') => Math.round(Number(amount) * 10);
  return { reserved: tenths(budget?.reserved), spent: tenths(budget?.spent), held: tenths(budget?.held) };
}
/** What has changed since the test began. */
async function changes(): Promise<Standing> {
  const now = await standing();
  expect(await app.rows(LEDGER_DRIFT.text)).toEqual([{ drift: 0, first: null }]);
  return {
    reserved: now.reserved - before.reserved,
    spent: now.spent - before.spent,
    held: now.held - before.held,
  };
}
/** A task of three pictures that was taken back when the upstream was at work on it, and its callback link. */
async function takenBack(prompt: string): Promise<{ id: string; path: string }> {
  const { id } = await app.generate({ prompt, count: 3 });
  await app.happened(id, 'TASK_SUBMITTED');
  expect(await changes()).toEqual({ reserved: 3, spent: 0, held: 0 });
  await app.query(CancelTaskDocument, { input: { id } });
  return { id, path: await upstream.callbackPath(prompt) };
}

describe('the money of a task that was taken back after it was sent', () => {
  test('is held, and what it cost is not known', async () => {
    const { id } = await takenBack('held');
    expect(await changes()).toEqual({ reserved: 0, spent: 0, held: 3 });
    expect((await app.task(id)).cost).toEqual({ estimated: '0.3', final: null, currency: 'USD' });
  });

  test('is spent for the pictures that come late, once, and the rest is free', async () => {
    const { id, path } = await takenBack('late');
    for (let time = 1; time <= 3; time += 1) await app.send(path, upstream.success(2, 'late'));
    expect(await changes()).toEqual({ reserved: 0, spent: 2, held: 0 });
    expect((await app.task(id)).cost.final).toBe('0.2');
  });

  test('is free when the upstream tells that it failed, whatever it tells again', async () => {
    const { id, path } = await takenBack('failed');
    for (let time = 1; time <= 3; time += 1) await app.send(path, upstream.failure('api_error'));
    expect(await changes()).toEqual({ reserved: 0, spent: 0, held: 0 });
    expect((await app.task(id)).cost.final).toBe('0');
  });
});

describe('the money of a task that expired while the upstream was at work', () => {
  test('is held, and spent for what comes late', async () => {
    const { id } = await app.generate({ prompt: 'expires', count: 1 });
    await app.happened(id, 'TASK_SUBMITTED');
    await app.rows("UPDATE tasks SET deadline_at = now() - interval '1 second' WHERE id = $1", [id]);
    await app.happened(id, 'TASK_EXPIRED');
    expect(await changes()).toEqual({ reserved: 0, spent: 0, held: 1 });
    await app.send(await upstream.callbackPath('expires'), upstream.success(1, 'expires'));
    await waitFor('the late picture', async () => (await app.task(id)).lateImages.length === 1);
    expect(await changes()).toEqual({ reserved: 0, spent: 1, held: 0 });
  });
});
