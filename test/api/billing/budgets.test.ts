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
import { addKey, addWorkspaceWithKey } from '../../support/access/workspaces.js';

const PRICES = { PRICES_FILE: 'test/support/billing/prices.json' };

let app: TestApp;
/** A second instance on the same database. Neither runs jobs, so tasks stay queued. */
let other: TestApp;
let workspaceId: string;
let keyId: string;
beforeAll(async () => {
  const environment = { ...PRICES, ROLES: 'api' };
  app = await TestApp.start({ environment });
  const { databaseUrl, apiKey: key, dataDir } = app;
  other = await TestApp.start({ environment, databaseUrl, apiKey: key, dataDir });
  const [row] = await app.rows<{ id: string; workspace_id: string }>('SELECT id, workspace_id FROM api_keys');
  keyId = row?.id ?? '';
  workspaceId = row?.workspace_id ?? '';
});
afterAll(async () => {
  await other.stop();
  await app.stop();
});
afterEach(async () => {
  const [row] = await app.rows<{ count: number }>(LEDGER_DRIFT.text);
  expect(row).toMatchObject({ count: 0 });
  await app.rows('DELETE FROM budgets');
});

/** Sets a budget in US dollars unless `input` names another currency. */
async function setBudget(input: SetBudgetInput, key = app.apiKey) {
  return (await app.query(SetBudgetDocument, { input: { currency: 'USD', ...input } }, key)).setBudget;
}
/** Expects a refusal and returns its errors as `CODE field`. */
async function refusalsOf(input: SetBudgetInput, key = app.apiKey): Promise<string[]> {
  const { budget, userErrors } = await setBudget(input, key);
  expect(budget).toBeNull();
  return userErrors.map(({ code, field }) => `${code} ${field?.join('.')}`);
}
async function generate(
  input: { model?: string; count?: number; idempotencyKey?: string } = {},
  at = app,
  key = app.apiKey,
) {
  const { generateImages } = await at.query(
    GenerateImagesDocument,
    { input: { prompt: 'budget', ...input } },
    key,
  );
  return { ...generateImages, codes: generateImages.userErrors.map(({ code }) => code) };
}
/** Creates an API key without tasks. */
async function createKey(
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

describe('budgets in the audit log', () => {
  const entriesOf = (subject: string) =>
    app.rows<{ data: object }>(
      `SELECT data FROM audit_log WHERE action = 'BUDGET_CHANGED' AND target_id = $1 ORDER BY id`,
      [subject],
    );
  /** Makes every write of this kind fail while `work` runs. */
  const withFailing = async (write: string, work: () => Promise<void>) => {
    await app.rows(`CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$`);
    await app.rows(`CREATE TRIGGER fail BEFORE ${write} FOR EACH ROW EXECUTE FUNCTION fail()`);
    await work().finally(() => app.rows('DROP FUNCTION fail CASCADE'));
  };
  const expectError = async (input: SetBudgetInput) => {
    const { errors } = await app.execute(SetBudgetDocument, { input });
    expect(errors).toHaveLength(1);
  };

  test('setting and removing a budget are recorded once each, and removing an absent one is not recorded', async () => {
    const { id } = await createKey();
    await setBudget({ scope: 'API_KEY', scopeId: id, amount: null });
    expect(await entriesOf(id)).toEqual([]);
    await setBudget({ scope: 'API_KEY', scopeId: id, amount: '2' });
    await setBudget({ scope: 'API_KEY', scopeId: id, amount: null });
    expect(await entriesOf(id)).toEqual([
      { data: { scope: 'API_KEY', amount: '2', currency: 'USD' } },
      { data: { scope: 'API_KEY', amount: null } },
    ]);
  });

  test.each(['UPDATE OR DELETE ON budgets', 'INSERT ON audit_log'])(
    'the budget and its audit entry change together or not at all: %s fails',
    async (write) => {
      const { id } = await createKey();
      await setBudget({ scope: 'API_KEY', scopeId: id, amount: '2' });
      await withFailing(write, async () => {
        await expectError({ scope: 'API_KEY', scopeId: id, amount: '3', currency: 'USD' });
        await expectError({ scope: 'API_KEY', scopeId: id, amount: null });
      });
      expect(await entriesOf(id)).toHaveLength(1);
      const amounts = await app.rows('SELECT amount::float8 FROM budgets WHERE scope_id = $1', [id]);
      expect(amounts).toEqual([{ amount: 2 }]);
    },
  );
});

describe('budgets', () => {
  test('a budget for 10 images accepts exactly 10 of 200 concurrent requests to two instances', async () => {
    const { id, key } = await createKey();
    expect((await setBudget({ scope: 'API_KEY', scopeId: id, amount: '1' })).budget).toMatchObject({
      remaining: '1',
      currency: 'USD',
    });
    const before = await countTasks();
    const payloads = await Promise.all(
      Array.from({ length: 200 }, (_, n) => generate({}, n % 2 === 0 ? app : other, key)),
    );
    expect(payloads.filter(({ task }) => task !== null)).toHaveLength(10);
    const refused = payloads.filter(({ task }) => task === null);
    expect(new Set(refused.flatMap(({ codes }) => codes))).toEqual(new Set(['BUDGET_EXCEEDED']));
    expect(await countTasks()).toBe(before + 10);
    const { budgets } = await app.query(BudgetsDocument, {});
    expect(budgets.nodes).toMatchObject([
      { scope: 'API_KEY', scopeId: id, reserved: '1', spent: '0', remaining: '0' },
    ]);
  }, 60_000);

  test.each<BudgetScope>(['WORKSPACE', 'API_KEY'])(
    'a budget of a %s refuses a request that exceeds it and accepts a smaller one',
    async (scope) => {
      const { id, key } = await createKey();
      const unlimited = await setBudget({ scope, scopeId: scope === 'API_KEY' ? id : null, amount: '1000' });
      const used = unlimited.budget?.reserved ?? '';
      await setBudget({
        scope,
        scopeId: scope === 'API_KEY' ? id : null,
        amount: String(Number(used) + 0.25),
      });
      const refused = await generate({ count: 3 }, app, key);
      expect(refused.userErrors).toMatchObject([{ code: 'BUDGET_EXCEEDED', field: null }]);
      expect(refused.userErrors[0]?.message).toContain('This request can cost 0.3 USD');
      expect((await generate({ count: 2 }, app, key)).task).not.toBeNull();
      expect((await generate({ count: 1 }, app, key)).codes).toEqual(['BUDGET_EXCEEDED']);
    },
  );

  test('a budget of one API key does not limit another key', async () => {
    const [one, another] = [await createKey(), await createKey()];
    await setBudget({ scope: 'API_KEY', scopeId: one.id, amount: '0' });
    expect((await generate({}, app, one.key)).codes).toEqual(['BUDGET_EXCEEDED']);
    expect((await generate({}, app, another.key)).codes).toEqual([]);
  });

  test('canceling a task before it is submitted frees its reservation', async () => {
    const { id, key } = await createKey();
    await setBudget({ scope: 'API_KEY', scopeId: id, amount: '0.1' });
    const { task } = await generate({}, app, key);
    expect((await generate({}, app, key)).codes).toEqual(['BUDGET_EXCEEDED']);
    await app.query(CancelTaskDocument, { input: { id: task?.id ?? '' } });
    expect((await generate({}, app, key)).codes).toEqual([]);
  });

  test('an exhausted budget still replays a request with a known idempotency key', async () => {
    const { id, key } = await createKey();
    await setBudget({ scope: 'API_KEY', scopeId: id, amount: '0.1' });
    const idempotencyKey = newId();
    const first = await generate({ idempotencyKey }, app, key);
    const replay = await generate({ idempotencyKey }, other, key);
    expect(replay).toMatchObject({ replayed: true, task: { id: first.task?.id } });
    expect((await generate({ idempotencyKey, count: 2 }, app, key)).codes).toEqual(['IDEMPOTENCY_CONFLICT']);
    expect((await generate({ idempotencyKey: newId() }, app, key)).codes).toEqual(['BUDGET_EXCEEDED']);
  });

  test('a budget limits retryTask', async () => {
    const { task } = await generate();
    await app.query(CancelTaskDocument, { input: { id: task?.id ?? '' } });
    await setBudget({ scope: 'API_KEY', scopeId: keyId, amount: '0' });
    const { retryTask } = await app.query(RetryTaskDocument, { input: { id: task?.id ?? '' } });
    expect(retryTask).toMatchObject({ task: null, userErrors: [{ code: 'BUDGET_EXCEEDED' }] });
  });

  test('a model without a price in the currency of the budget is refused, and the error names both', async () => {
    const { id, key } = await createKey();
    expect((await generate({ model: 'flux-pro' }, app, key)).codes).toEqual([]);
    await setBudget({ scope: 'API_KEY', scopeId: id, amount: '1000', currency: 'USD' });
    for (const model of ['flux-pro', 'flux-2-pro']) {
      const { userErrors } = await generate({ model }, app, key);
      expect(userErrors).toMatchObject([{ code: 'PRICE_UNKNOWN', field: ['input', 'model'] }]);
      expect(userErrors[0]?.message).toContain(`${model} has no price in USD`);
    }
  });

  test('an amount of null removes the budget', async () => {
    const { id, key } = await createKey();
    await setBudget({ scope: 'API_KEY', scopeId: id, amount: '0' });
    expect(await setBudget({ scope: 'API_KEY', scopeId: id, amount: null })).toEqual({
      budget: null,
      userErrors: [],
    });
    expect((await generate({}, app, key)).codes).toEqual([]);
    expect((await app.query(BudgetsDocument, {})).budgets.nodes).toEqual([]);
  });

  test('a new budget counts the costs of the current month from before it was set', async () => {
    const { id, key } = await createKey();
    await generate({ count: 3 }, app, key);
    await generate({ model: 'flux-2-pro' }, app, key);
    const { budget } = await setBudget({ scope: 'API_KEY', scopeId: id, amount: '0.35', currency: 'USD' });
    expect(budget).toMatchObject({ limit: '0.35', reserved: '0.3', remaining: '0.05' });
    expect((await generate({}, app, key)).codes).toEqual(['BUDGET_EXCEEDED']);
    expect((await generate({ model: 'flux-2-klein' }, app, key)).codes).toEqual([]);
  });

  test('a task counts toward the month of its request and leaves other months untouched', async () => {
    const { id, key } = await createKey();
    await setBudget({ scope: 'API_KEY', scopeId: id, amount: '0.1' });
    const { task } = await generate({}, app, key);
    // Moves the counters and the task into the previous month, as if the month had ended since.
    const earlier = "date_trunc('month', now() AT TIME ZONE 'UTC')::date - 1";
    const before = `date_trunc('month', ${earlier})::date`;
    await app.rows(`UPDATE budget_counters SET month = ${before} WHERE scope_id = $1`, [id]);
    await app.rows(`UPDATE tasks SET created_at = ${before}::timestamp AT TIME ZONE 'UTC' WHERE id = $1`, [
      task?.id,
    ]);
    expect((await generate({}, app, key)).codes).toEqual([]);
    await app.query(CancelTaskDocument, { input: { id: task?.id ?? '' } });
    const [month] = await app.rows<{ text: string }>(`SELECT to_char(${before}, 'YYYY-MM') AS text`);
    const budgetsOf = async (monthText?: string) =>
      (await app.query(BudgetsDocument, { month: monthText })).budgets.nodes;
    expect(await budgetsOf()).toMatchObject([{ reserved: '0.1', remaining: '0' }]);
    expect(await budgetsOf(month?.text)).toMatchObject([
      { month: month?.text, reserved: '0', remaining: '0.1' },
    ]);
    expect(await budgetsOf('2001-01')).toMatchObject([{ month: '2001-01', spent: '0', remaining: '0.1' }]);
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
  ])('the amount %j is refused', async (amount) => {
    expect(await refusalsOf({ scope: 'WORKSPACE', amount })).toEqual(['INVALID_AMOUNT input.amount']);
  });

  test.each(['usd', 'XXX', '', 'GBP'])(
    'the currency %j, which no price uses, is refused',
    async (currency) => {
      expect(await refusalsOf({ scope: 'WORKSPACE', amount: '1', currency })).toEqual([
        'INVALID_CURRENCY input.currency',
      ]);
    },
  );

  test('the currency is required if the price list has several', async () => {
    expect(await refusalsOf({ scope: 'WORKSPACE', amount: '1', currency: null })).toEqual([
      'INVALID_CURRENCY input.currency',
    ]);
  });

  test('foreign workspaces and keys get the same answer as absent ones', async () => {
    const foreignKey = await addWorkspaceWithKey(app);
    const [foreign] = await app.rows<{ id: string; workspace_id: string }>(
      'SELECT id, workspace_id FROM api_keys WHERE prefix = $1',
      [foreignKey.slice(0, 9)],
    );
    const expectAllNotFound = async (scope: BudgetScope, scopeIds: (string | undefined)[]) => {
      const payloads = await Promise.all(
        scopeIds.map((scopeId) => setBudget({ scope, scopeId, amount: '1', currency: 'USD' })),
      );
      expect(payloads[0]).toMatchObject({
        budget: null,
        userErrors: [{ code: 'NOT_FOUND', field: ['input', 'scopeId'] }],
      });
      for (const payload of payloads) expect(payload).toEqual(payloads[0]);
    };
    await expectAllNotFound('WORKSPACE', [foreign?.workspace_id, newId(), 'nonsense', '']);
    await expectAllNotFound('API_KEY', [foreign?.id, newId(), 'nonsense', '', undefined]);
    await expectAllNotFound('END_USER', ['', undefined, 'x'.repeat(256), 'nul\0']);
    expect((await app.query(BudgetsDocument, {}, foreignKey)).budgets.nodes).toEqual([]);
  });

  test('a budget of the workspace requires workspaces:admin, and other budgets require keys:admin', async () => {
    const [keyAdmin, workspaceAdmin] = [
      await createKey(['keys:admin']),
      await createKey(['workspaces:admin']),
    ];
    const errorCode = async (key: string, input: SetBudgetInput) =>
      (await app.execute(SetBudgetDocument, { input }, key)).errors?.[0]?.extensions?.code ?? null;
    const inputs: SetBudgetInput[] = [
      { scope: 'WORKSPACE', amount: '1', currency: 'USD' },
      { scope: 'API_KEY', scopeId: keyId, amount: '1', currency: 'USD' },
      { scope: 'END_USER', scopeId: 'someone', amount: '1', currency: 'USD' },
    ];
    const errorCodes = (key: string) => Promise.all(inputs.map((input) => errorCode(key, input)));
    expect(await errorCodes(keyAdmin.key)).toEqual(['FORBIDDEN', null, null]);
    expect(await errorCodes(workspaceAdmin.key)).toEqual([null, 'FORBIDDEN', 'FORBIDDEN']);
  });
});

describe('the query budgets', () => {
  test('pages of one budget list every budget once, ordered by scope and ID', async () => {
    for (const scopeId of ['b', 'a', 'c'])
      await setBudget({ scope: 'END_USER', scopeId, amount: '2', currency: 'EUR' });
    await setBudget({ scope: 'WORKSPACE', amount: '3', currency: 'USD' });
    const seen: string[] = [];
    for (let after: string | null | undefined = null; after !== undefined;) {
      const {
        budgets,
      }: {
        budgets: {
          nodes: { scopeId: string }[];
          pageInfo: { hasNextPage: boolean; endCursor?: string | null };
        };
      } = await app.query(BudgetsDocument, { first: 1, after });
      seen.push(...budgets.nodes.map(({ scopeId }) => scopeId));
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
  ])('the arguments %j are a BAD_REQUEST', async (variables) => {
    const { errors } = await app.execute(BudgetsDocument, variables);
    expect(errors).toMatchObject([{ extensions: { code: 'BAD_REQUEST' } }]);
  });

  test('the query requires audit:read', async () => {
    const { key } = await createKey(['tasks:read', 'tasks:write', 'keys:admin']);
    const { errors } = await app.execute(BudgetsDocument, {}, key);
    expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });
});

describe('an instance without a price list', () => {
  test('refuses to set a budget, and refuses requests where a budget exists', async () => {
    const { databaseUrl, apiKey: key, dataDir } = app;
    const withoutPrices = await TestApp.start({
      environment: { ROLES: 'api' },
      databaseUrl,
      apiKey: key,
      dataDir,
    });
    try {
      const input = { scope: 'WORKSPACE', amount: '1' } as const;
      const { setBudget: payload } = await withoutPrices.query(SetBudgetDocument, { input });
      expect(payload.userErrors).toMatchObject([{ code: 'INVALID_CURRENCY' }]);
      expect(payload.userErrors[0]?.message).toContain('PRICES_FILE');
      expect((await generate({}, withoutPrices)).codes).toEqual([]);
      await setBudget({ scope: 'WORKSPACE', amount: '1000', currency: 'USD' });
      expect((await generate({}, withoutPrices)).codes).toEqual(['PRICE_UNKNOWN']);
    } finally {
      await withoutPrices.stop();
    }
  });
});
