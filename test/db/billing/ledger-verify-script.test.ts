import { execFile } from 'node:child_process';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { KEY_ID, LedgerFixture, WORKSPACE_ID } from '../../support/billing/ledger-fixture.js';

let fixture: LedgerFixture;
beforeAll(async () => {
  fixture = await LedgerFixture.open();
});
afterAll(() => fixture.close());

/** Runs `npm run ledger:verify` without its build. */
function runLedgerVerify(): Promise<{ exitCode: number; lines: string[] }> {
  const nodeArgs = ['--import', './test/support/setup/typescript.mjs', 'scripts/ledger-verify.ts'];
  const env = { PATH: process.env.PATH, DATABASE_URL: fixture.url };
  return new Promise((resolve) => {
    execFile(process.execPath, nodeArgs, { env }, (error, stdout, stderr) => {
      const lines = `${stdout}${stderr}`.trim().split('\n');
      resolve({ exitCode: error ? Number(error.code) : 0, lines });
    });
  });
}

test('npm run ledger:verify exits with 0 while all records of money agree, and with 1 after a wrong entry', async () => {
  await fixture.budgets.set(
    { workspaceId: WORKSPACE_ID, scope: 'API_KEY', scopeId: KEY_ID },
    { amount: '10', currency: 'USD' },
  );
  const id = await fixture.requestOrThrow(2);
  await fixture.succeed(id, 2);
  expect(await runLedgerVerify()).toEqual({
    exitCode: 0,
    lines: ['Tasks with a price: 1, ledger entries: 4, budget counters: 1, differences: 0'],
  });

  await fixture.sql.query(
    `INSERT INTO ledger_entries (workspace_id, task_id, account, amount, currency, kind)
     SELECT workspace_id, id, 'spent', 0.1, 'USD', 'ADJUST' FROM tasks WHERE id = $1`,
    [id],
  );
  const { exitCode, lines } = await runLedgerVerify();
  expect(exitCode).toBe(1);
  expect(lines.sort()).toEqual([
    'Tasks with a price: 1, ledger entries: 5, budget counters: 1, differences: 3',
    expect.stringContaining(`differs  counter of API_KEY ${KEY_ID}`),
    `differs  movement of task ${id}`,
    `differs  task ${id}`,
  ]);
}, 60_000);
