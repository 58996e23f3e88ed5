import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  BudgetsDocument,
  GenerateImagesDocument,
  SetBudgetDocument,
  type SetBudgetInput,
} from '../../../clients/operations.js';
import { LEDGER_DRIFT } from '../../../src/db/billing/ledger-check.js';
import {
  CREATE_KEY,
  type CreatedKey,
  ROTATE_KEY,
  VIEWER,
  type WithUserErrors,
} from '../../support/access/access-operations.js';
import { postGraphql, queryField } from '../../support/app/graphql-request.js';
import { TestApp } from '../../support/app/test-app.js';

/** It runs no jobs, so tasks stay queued. */
let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({
    environment: { PRICES_FILE: 'test/support/billing/prices.json', ROLES: 'api' },
  });
});
afterAll(() => app.stop());

type Key = Pick<CreatedKey, 'secret'> & { id: string; lineageId: string };
async function keyOf(created: Promise<CreatedKey>): Promise<Key> {
  const { apiKey, secret } = await created;
  const { apiKeys } = (await postGraphql(app, '{ apiKeys(first: 100) { nodes { id lineageId } } }')).data as {
    apiKeys: { nodes: { id: string; lineageId: string }[] };
  };
  const lineageId = apiKeys.nodes.find(({ id }) => id === apiKey.id)?.lineageId ?? '';
  return { id: apiKey.id, lineageId, secret };
}
const createKey = (limits?: object) => {
  const input = { name: 'limited', scopes: ['tasks:read', 'tasks:write'], limits };
  return keyOf(queryField<CreatedKey>(app, CREATE_KEY, { input }));
};
const rotate = ({ id }: Key) => keyOf(queryField<CreatedKey>(app, ROTATE_KEY, { id }));

/** Requests an image of 0.1 USD and returns the codes of the refusal, or of none. */
async function generate({ secret }: Key): Promise<string[]> {
  const input = { prompt: 'with a rotated key' };
  const { generateImages } = await app.query(GenerateImagesDocument, { input }, secret);
  return generateImages.userErrors.map(({ code }) => code);
}
async function setBudget(input: SetBudgetInput) {
  return (await app.query(SetBudgetDocument, { input: { currency: 'USD', ...input } })).setBudget.budget;
}

describe('a rotated key', () => {
  test('and the keys that replaced it share a lineage, which is the ID of the first', async () => {
    const first = await createKey();
    const second = await rotate(first);
    const third = await rotate(second);
    expect(first.lineageId).toBe(first.id);
    expect([second.lineageId, third.lineageId]).toEqual([first.id, first.id]);
    expect(new Set([first.id, second.id, third.id]).size).toBe(3);
    expect((await createKey()).lineageId).not.toBe(first.id);
  });

  test('keeps its budget and what it has spent, whichever of its keys is used', async () => {
    const first = await createKey();
    await setBudget({ scope: 'API_KEY', scopeId: first.id, amount: '0.3' });
    expect(await generate(first)).toEqual([]);
    const second = await rotate(first);
    expect(await generate(second)).toEqual([]);
    const third = await rotate(second);
    expect(await generate(first)).toEqual([]);
    for (const key of [first, second, third]) expect(await generate(key)).toEqual(['BUDGET_EXCEEDED']);
    expect(await app.rows(LEDGER_DRIFT.text)).toMatchObject([{ count: 0, examples: null }]);
  });

  test('has one budget, which any of its IDs changes and which counts what they spent before', async () => {
    const first = await createKey();
    expect(await generate(first)).toEqual([]);
    const second = await rotate(first);
    expect(await generate(second)).toEqual([]);
    const expected = { scopeId: first.id, limit: '0.2', reserved: '0.2', remaining: '0' };
    expect(await setBudget({ scope: 'API_KEY', scopeId: second.id, amount: '0.2' })).toMatchObject(expected);
    expect(await generate(second)).toEqual(['BUDGET_EXCEEDED']);
    expect(await setBudget({ scope: 'API_KEY', scopeId: first.id, amount: '0.5' })).toMatchObject({
      limit: '0.5',
    });
    const { budgets } = await app.query(BudgetsDocument, {});
    expect(budgets.nodes.filter(({ scopeId }) => scopeId === first.id)).toHaveLength(1);
    expect(budgets.nodes.filter(({ scopeId }) => scopeId === second.id)).toEqual([]);
    expect(await generate(second)).toEqual([]);
  });

  test('keeps its limit of tasks in flight', async () => {
    const first = await createKey({ generationsInFlight: 1 });
    expect(await generate(first)).toEqual([]);
    const second = await rotate(first);
    const refused = await postGraphql(
      app,
      'mutation { generateImages(input: { prompt: "one too many" }) { task { id } } }',
      {},
      second.secret,
    );
    expect(refused.errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);
  });

  test('shows its own ID in the audit log and as the viewer', async () => {
    const second = await rotate(await createKey());
    expect(
      await queryField<{ keyId: string } & WithUserErrors>(app, VIEWER, {}, second.secret),
    ).toMatchObject({
      keyId: second.id,
    });
  });
});
