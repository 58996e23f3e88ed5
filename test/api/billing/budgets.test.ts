import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  BudgetsDocument,
  CancelTaskDocument,
  GenerateImagesDocument,
  RetryTaskDocument,
} from '../../../clients/operations.js';
import { type BudgetScope, SetBudgetDocument, type SetBudgetInput } from '../../../clients/operations.js';
import { type Scope } from '../../../src/core/access/caller.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { LEDGER_DRIFT } from '../../../src/db/billing/ledger-check.js';
import { TestApp } from '../../support/app/test-app.js';
import { addKey, addWorkspace } from '../../support/access/workspaces.js';

const PRICES = { PRICES_FILE: 'test/support/billing/prices.json' };

let app: TestApp;
/** Another instance on the same database. Neither runs jobs: what is asked for stays where it is. */
let other: TestApp;
let workspaceId: string;
let keyId: string;
beforeAll(async () => {
  const environment = { ...PRICES, ROLES: 'api' };
  app = await TestApp.start({ environment });
  const { databaseUrl, key, dataDir } = app;
  other = await TestApp.start({ environment, databaseUrl, key, dataDir });
  const [row] = await app.rows<{ id: string; workspace_id: string }>('SELECT id, workspace_id FROM api_keys');
  keyId = row?.id ?? '';
  workspaceId = row?.workspace_id ?? '';
});
afterAll(async () => {
  await other.stop();
  await app.stop();
});
afterEach(async () => {
  const [row] = await app.rows<{ drift: number }>(LEDGER_DRIFT.text);
  expect(row).toMatchObject({ drift: 0 });
  await app.rows('DELETE FROM budgets');
});

/** In dollars, unless said otherwise. */
async function setBudget(input: SetBudgetInput, key = app.key) {
  return (await app.query(SetBudgetDocument, { input: { currency: 'USD', ...input } }, key)).setBudget;
}
/** What is refused, as `CODE field`. */
async function faultsOf(input: SetBudgetInput, key = app.key): Promise<string[]> {
  const { budget, userErrors } = await setBudget(input, key);
  expect(budget).toBeNull();
  return userErrors.map(({ code, field }) => `${code} ${field?.join('.')}`);
}
async function ask(
  input: { model?: string; count?: number; idempotencyKey?: string } = {},
  at = app,
  key = app.key,
) {
  const { generateImages } = await at.query(
    GenerateImagesDocument,
    { input: { prompt: 'budget', ...input } },
    key,
  );
  return { ...generateImages, codes: generateImages.userErrors.map(({ code }) => code) };
}
/** A key of the workspace with nothing asked for yet. */
async function freshKey(
  scopes: readonly Scope[] = ['tasks:read', 'tasks:write'],
): Promise<{ id: string; key: string }> {
  const key = await addKey(app, workspaceId, scopes);
  const [row] = await app.rows<{ id: string }>('SELECT id FROM api_keys WHERE prefix = $1', [
    key.slice(0, 9),
  ]);
  return { id: row?.id ?? '', key };
}
async function countTasks(): Promise<number> {
  return (await app.rows<{ n: number }>('SELECT count(*)::int AS n FROM tasks'))[0]?.n ?? 0;
}

describe('the audit entry of a budget', () => {
  const entriesOf = (subject: string) =>
    app.rows<{ data: object }>(
      `SELECT data FROM audit_log WHERE action = 'BUDGET_CHANGED' AND subject = $1 ORDER BY id`,
      [subject],
    );
  /** Has every write of this kind fail while `work` is done. */
  const failing = async (what: string, work: () => Promise<void>) => {
    await app.rows(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`);
    await app.rows(`CREATE TRIGGER fail BEFORE ${what} FOR EACH ROW EXECUTE FUNCTION fail()`);
    await work().finally(() => app.rows('DROP FUNCTION fail CASCADE'));
  };
  const isRefused = async (input: SetBudgetInput) => {
    const { errors } = await app.post(SetBudgetDocument, { input });
    expect(errors).toHaveLength(1);
  };

  test('tells what was set and that it was removed, once each, and nothing of one that was not there', async () => {
    const { id } = await freshKey();
    await setBudget({ scope: 'KEY', id, amount: null });
    expect(await entriesOf(id)).toEqual([]);
    await setBudget({ scope: 'KEY', id, amount: '2' });
    await setBudget({ scope: 'KEY', id, amount: null });
    expect(await entriesOf(id)).toEqual([
      { data: { scope: 'KEY', amount: '2', currency: 'USD' } },
      { data: { scope: 'KEY', amount: null } },
    ]);
  });

  test.each(['UPDATE OR DELETE ON budgets', 'INSERT ON audit_log'])(
    'is not there without the change, nor the change without it: %s fails',
    async (what) => {
      const { id } = await freshKey();
      await setBudget({ scope: 'KEY', id, amount: '2' });
      await failing(what, async () => {
        await isRefused({ scope: 'KEY', id, amount: '3', currency: 'USD' });
        await isRefused({ scope: 'KEY', id, amount: null });
      });
      expect(await entriesOf(id)).toHaveLength(1);
      const amounts = await app.rows('SELECT amount::float8 FROM budgets WHERE subject = $1', [id]);
      expect(amounts).toEqual([{ amount: 2 }]);
    },
  );
});

describe('a budget', () => {
  test('for 10 lets exactly 10 of 200 requests pass that come at once to two instances', async () => {
    const { id, key } = await freshKey();
    expect((await setBudget({ scope: 'KEY', id, amount: '1' })).budget).toMatchObject({
      remaining: '1',
      currency: 'USD',
    });
    const before = await countTasks();
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => ask({}, n % 2 === 0 ? app : other, key)),
    );
    expect(answers.filter(({ task }) => task !== null)).toHaveLength(10);
    const refused = answers.filter(({ task }) => task === null);
    expect(new Set(refused.flatMap(({ codes }) => codes))).toEqual(new Set(['BUDGET_EXCEEDED']));
    expect(await countTasks()).toBe(before + 10);
    const { budgets } = await app.query(BudgetsDocument, {});
    expect(budgets.nodes).toMatchObject([{ scope: 'KEY', id, reserved: '1', spent: '0', remaining: '0' }]);
  }, 60_000);

  test.each<BudgetScope>(['WORKSPACE', 'KEY'])(
    'of a %s refuses what it has no room for, and takes less',
    async (scope) => {
      const { id, key } = await freshKey();
      const standing = await setBudget({ scope, id: scope === 'KEY' ? id : null, amount: '1000' });
      const used = standing.budget?.reserved ?? '';
      await setBudget({ scope, id: scope === 'KEY' ? id : null, amount: String(Number(used) + 0.25) });
      const refused = await ask({ count: 3 }, app, key);
      expect(refused.userErrors).toMatchObject([{ code: 'BUDGET_EXCEEDED', field: null }]);
      expect(refused.userErrors[0]?.message).toContain('This could cost 0.3 USD');
      expect((await ask({ count: 2 }, app, key)).task).not.toBeNull();
      expect((await ask({ count: 1 }, app, key)).codes).toEqual(['BUDGET_EXCEEDED']);
    },
  );

  test('of a key bounds that key alone', async () => {
    const [one, another] = [await freshKey(), await freshKey()];
    await setBudget({ scope: 'KEY', id: one.id, amount: '0' });
    expect((await ask({}, app, one.key)).codes).toEqual(['BUDGET_EXCEEDED']);
    expect((await ask({}, app, another.key)).codes).toEqual([]);
  });

  test('has room again when a task is taken back before it is sent', async () => {
    const { id, key } = await freshKey();
    await setBudget({ scope: 'KEY', id, amount: '0.1' });
    const { task } = await ask({}, app, key);
    expect((await ask({}, app, key)).codes).toEqual(['BUDGET_EXCEEDED']);
    await app.query(CancelTaskDocument, { input: { id: task?.id ?? '' } });
    expect((await ask({}, app, key)).codes).toEqual([]);
  });

  test('that is used up still answers an idempotency key with its task', async () => {
    const { id, key } = await freshKey();
    await setBudget({ scope: 'KEY', id, amount: '0.1' });
    const idempotencyKey = newId();
    const first = await ask({ idempotencyKey }, app, key);
    const again = await ask({ idempotencyKey }, other, key);
    expect(again).toMatchObject({ replayed: true, task: { id: first.task?.id } });
    expect((await ask({ idempotencyKey, count: 2 }, app, key)).codes).toEqual(['IDEMPOTENCY_CONFLICT']);
    expect((await ask({ idempotencyKey: newId() }, app, key)).codes).toEqual(['BUDGET_EXCEEDED']);
  });

  test('bounds what is asked for again with retryTask', async () => {
    const { task } = await ask();
    await app.query(CancelTaskDocument, { input: { id: task?.id ?? '' } });
    await setBudget({ scope: 'KEY', id: keyId, amount: '0' });
    const { retryTask } = await app.query(RetryTaskDocument, { input: { id: task?.id ?? '' } });
    expect(retryTask).toMatchObject({ task: null, userErrors: [{ code: 'BUDGET_EXCEEDED' }] });
  });

  test('refuses a model whose price nobody knows, or is in another currency, and says what to do', async () => {
    const { id, key } = await freshKey();
    expect((await ask({ model: 'flux-pro' }, app, key)).codes).toEqual([]);
    await setBudget({ scope: 'KEY', id, amount: '1000', currency: 'USD' });
    for (const model of ['flux-pro', 'flux-2-pro']) {
      const { userErrors } = await ask({ model }, app, key);
      expect(userErrors).toMatchObject([{ code: 'PRICE_UNKNOWN', field: ['input', 'model'] }]);
      expect(userErrors[0]?.message).toContain(`${model} has no price in USD`);
    }
  });

  test('is gone when it is set to null', async () => {
    const { id, key } = await freshKey();
    await setBudget({ scope: 'KEY', id, amount: '0' });
    expect(await setBudget({ scope: 'KEY', id, amount: null })).toEqual({ budget: null, userErrors: [] });
    expect((await ask({}, app, key)).codes).toEqual([]);
    expect((await app.query(BudgetsDocument, {})).budgets.nodes).toEqual([]);
  });

  test('counts what the month has cost before it was set', async () => {
    const { id, key } = await freshKey();
    await ask({ count: 3 }, app, key);
    await ask({ model: 'flux-2-pro' }, app, key);
    const { budget } = await setBudget({ scope: 'KEY', id, amount: '0.35', currency: 'USD' });
    expect(budget).toMatchObject({ limit: '0.35', reserved: '0.3', remaining: '0.05' });
    expect((await ask({}, app, key)).codes).toEqual(['BUDGET_EXCEEDED']);
    expect((await ask({ model: 'flux-2-klein' }, app, key)).codes).toEqual([]);
  });

  test('counts a task in the month of its request, and has all its room in another month', async () => {
    const { id, key } = await freshKey();
    await setBudget({ scope: 'KEY', id, amount: '0.1' });
    const { task } = await ask({}, app, key);
    // The month has passed: what was counted is of the month before.
    const earlier = "date_trunc('month', now() AT TIME ZONE 'UTC')::date - 1";
    const before = `date_trunc('month', ${earlier})::date`;
    await app.rows(`UPDATE budget_counters SET month = ${before} WHERE subject = $1`, [id]);
    await app.rows(`UPDATE tasks SET created_at = ${before}::timestamp AT TIME ZONE 'UTC' WHERE id = $1`, [
      task?.id,
    ]);
    expect((await ask({}, app, key)).codes).toEqual([]);
    await app.query(CancelTaskDocument, { input: { id: task?.id ?? '' } });
    const [month] = await app.rows<{ text: string }>(`SELECT to_char(${before}, 'YYYY-MM') AS text`);
    const page = async (of?: string) => (await app.query(BudgetsDocument, { month: of })).budgets.nodes;
    expect(await page()).toMatchObject([{ reserved: '0.1', remaining: '0' }]);
    expect(await page(month?.text)).toMatchObject([{ month: month?.text, reserved: '0', remaining: '0.1' }]);
    expect(await page('2001-01')).toMatchObject([{ month: '2001-01', spent: '0', remaining: '0.1' }]);
  });
});

describe('setBudget', () => {
  test.each([
    '-1',
    'NaN',
    'Infinity',
    '1e3',
    '',
    ' 1',
    '1,5',
    '.5',
    '0x10',
    '1234567890123',
    '0.123456789',
    '１',
  ])('refuses the amount %j', async (amount) => {
    expect(await faultsOf({ scope: 'WORKSPACE', amount })).toEqual(['INVALID_AMOUNT input.amount']);
  });

  test.each(['usd', 'XXX', '', 'GBP'])('refuses the currency %j, in which no price is', async (currency) => {
    expect(await faultsOf({ scope: 'WORKSPACE', amount: '1', currency })).toEqual([
      'INVALID_CURRENCY input.currency',
    ]);
  });

  test('asks for a currency where there are several', async () => {
    expect(await faultsOf({ scope: 'WORKSPACE', amount: '1', currency: null })).toEqual([
      'INVALID_CURRENCY input.currency',
    ]);
  });

  test('answers a foreign workspace and a foreign key exactly as absent ones', async () => {
    const foreignKey = await addWorkspace(app);
    const [foreign] = await app.rows<{ id: string; workspace_id: string }>(
      'SELECT id, workspace_id FROM api_keys WHERE prefix = $1',
      [foreignKey.slice(0, 9)],
    );
    const answers = async (scope: BudgetScope, ids: (string | undefined)[]) => {
      const all = await Promise.all(ids.map((id) => setBudget({ scope, id, amount: '1', currency: 'USD' })));
      expect(all[0]).toMatchObject({
        budget: null,
        userErrors: [{ code: 'NOT_FOUND', field: ['input', 'id'] }],
      });
      for (const answer of all) expect(answer).toEqual(all[0]);
    };
    await answers('WORKSPACE', [foreign?.workspace_id, newId(), 'nonsense', '']);
    await answers('KEY', [foreign?.id, newId(), 'nonsense', '', undefined]);
    await answers('END_USER', ['', undefined, 'x'.repeat(256), 'nul\0']);
    expect((await app.query(BudgetsDocument, {}, foreignKey)).budgets.nodes).toEqual([]);
  });

  test('needs workspaces:admin for the workspace, and keys:admin for the others', async () => {
    const [forKeys, forWorkspaces] = [await freshKey(['keys:admin']), await freshKey(['workspaces:admin'])];
    const codes = async (key: string, input: SetBudgetInput) =>
      ((await app.post(SetBudgetDocument, { input }, key)).errors ?? []).map(
        ({ extensions }) => extensions?.code,
      );
    const inputs: SetBudgetInput[] = [
      { scope: 'WORKSPACE', amount: '1', currency: 'USD' },
      { scope: 'KEY', id: keyId, amount: '1', currency: 'USD' },
      { scope: 'END_USER', id: 'someone', amount: '1', currency: 'USD' },
    ];
    const told = async (key: string) =>
      Promise.all(inputs.map(async (input) => (await codes(key, input))[0] ?? null));
    expect(await told(forKeys.key)).toEqual(['FORBIDDEN', null, null]);
    expect(await told(forWorkspaces.key)).toEqual([null, 'FORBIDDEN', 'FORBIDDEN']);
  });
});

describe('the query budgets', () => {
  test('has pages, in one order', async () => {
    for (const id of ['b', 'a', 'c'])
      await setBudget({ scope: 'END_USER', id, amount: '2', currency: 'EUR' });
    await setBudget({ scope: 'WORKSPACE', amount: '3', currency: 'USD' });
    const seen: string[] = [];
    for (let after: string | null | undefined = null; after !== undefined;) {
      const {
        budgets,
      }: {
        budgets: { nodes: { id: string }[]; pageInfo: { hasNextPage: boolean; endCursor?: string | null } };
      } = await app.query(BudgetsDocument, { first: 1, after });
      seen.push(...budgets.nodes.map(({ id }) => id));
      after = budgets.pageInfo.hasNextPage ? budgets.pageInfo.endCursor : undefined;
    }
    expect(seen).toEqual(['a', 'b', 'c', workspaceId]);
  });

  test.each([
    { month: '2026-13' },
    { month: '0000-01' },
    { month: 'now' },
    { first: 0 },
    { after: 'x' },
    { after: 'WzEsMl0' },
  ])('answers BAD_REQUEST to %j', async (variables) => {
    const { errors } = await app.post(BudgetsDocument, variables);
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_REQUEST' } }]);
  });

  test('needs audit:read', async () => {
    const { key } = await freshKey(['tasks:read', 'tasks:write', 'keys:admin']);
    const { errors } = await app.post(BudgetsDocument, {}, key);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });
});

describe('an instance without a price list', () => {
  test('sets no budget, and refuses what it cannot count where there is one', async () => {
    const { databaseUrl, key, dataDir } = app;
    const blind = await TestApp.start({ environment: { ROLES: 'api' }, databaseUrl, key, dataDir });
    try {
      const input = { scope: 'WORKSPACE', amount: '1' } as const;
      const { setBudget: answer } = await blind.query(SetBudgetDocument, { input });
      expect(answer.userErrors).toMatchObject([{ code: 'INVALID_CURRENCY' }]);
      expect(answer.userErrors[0]?.message).toContain('PRICES_FILE');
      expect((await ask({}, blind)).codes).toEqual([]);
      await setBudget({ scope: 'WORKSPACE', amount: '1000', currency: 'USD' });
      expect((await ask({}, blind)).codes).toEqual(['PRICE_UNKNOWN']);
    } finally {
      await blind.stop();
    }
  });
});
