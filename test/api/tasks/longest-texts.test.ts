import { randomInt } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { CancelTaskDocument, SetBudgetDocument } from '../../../clients/operations.js';
import { TestApp } from '../../support/app/test-app.js';
import { waitFor } from '../../support/wait-for.js';

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start({
    environment: {
      FLUX_BASE_URL: 'http://127.0.0.1:9',
      FLUX_API_TOKEN: 'none',
      PRICES_FILE: 'test/support/billing/prices.json',
    },
  });
});
afterAll(() => app.stop());

/** Random, so that PostgreSQL cannot compress an index entry. Each character has three bytes in UTF-8. */
function han(length: number): string {
  return Array.from({ length }, () => String.fromCodePoint(0x4e00 + randomInt(20_000))).join('');
}
/** Words of 2 bytes per character whose lower case has 3. */
const GROWING = 'Ⱥ';

test('a task whose texts are all as long as allowed is created, canceled and ended', async () => {
  const endUserId = han(255);
  const budget = { scope: 'END_USER', scopeId: endUserId, amount: '100', currency: 'USD' } as const;
  const { setBudget } = await app.query(SetBudgetDocument, { input: budget });
  expect(setBudget).toMatchObject({ userErrors: [] });
  const create = () =>
    app.generate({
      prompt: han(4_000),
      endUserId,
      idempotencyKey: han(255),
      metadata: { text: han(1_300) },
      // The longest host and the longest path.
      webhookUrl: `http://${`${'a'.repeat(62)}.`.repeat(4)}a:8080/${han(190)}`,
      timeoutSeconds: 10,
    });
  const canceled = await create();
  expect(await app.query(CancelTaskDocument, { input: { id: canceled.id } })).toMatchObject({
    cancelTask: { task: { status: 'CANCELED' } },
  });
  const expiring = await create();
  // Nothing listens at the upstream's address, so it fails shortly before its deadline, or expires.
  const hasEnded = async () => ['FAILED', 'EXPIRED'].includes((await app.task(expiring.id)).status);
  await waitFor('the other one to end', hasEnded, { timeoutMs: 30_000 });
  expect(await app.rows('SELECT FROM webhook_deliveries')).toHaveLength(2);
}, 60_000);

test.each([670, 676, 680, 682, 683, 1_000, 4_000])(
  'a prompt of one word with %i characters whose lower case is longer is accepted',
  async (length) => {
    expect((await app.generate({ prompt: GROWING.repeat(length) })).status).toBe('QUEUED');
  },
);
