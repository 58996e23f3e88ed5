import { afterAll, beforeAll, test } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import { Database } from '../../../src/db/postgres/database.js';
import { LedgerFixture } from '../../support/billing/ledger-fixture.js';
import { interleaving, performTogether, RunFailed } from '../../support/billing/money-run.js';
import { MoneyWorld } from '../../support/billing/money-world.js';

/** Set MONEY_MODEL_RUNS=10000 for a long search, and MONEY_MODEL_SEED to repeat one. */
const { MONEY_MODEL_RUNS = '60', MONEY_MODEL_SEED = String(Date.now() % 1_000_000_000) } = process.env;
const RUNS = Number(MONEY_MODEL_RUNS);
const SEED = Number(MONEY_MODEL_SEED);
/** Runs side by side, which share the comparison of the ledger. */
const BATCH_SIZE = 40;
/** Runs in one database. Each comparison reads all tasks of the database, so it becomes slower with each run. */
const RUNS_PER_DATABASE = 200;

let ledger: LedgerFixture;
let otherDb: Database;
beforeAll(open);
afterAll(close);

async function open(): Promise<void> {
  ledger = await LedgerFixture.open();
  otherDb = new Database({ url: ledger.url, maxConnections: 10, log: pino({ level: 'silent' }) });
}
async function close(): Promise<void> {
  await otherDb.close();
  await ledger.close();
}
async function openWorlds(count: number): Promise<MoneyWorld[]> {
  const worlds: MoneyWorld[] = [];
  while (worlds.length < count) worlds.push(await MoneyWorld.open(ledger, otherDb));
  return worlds;
}

test(
  'the ledger and the budgets equal the model after every step, in any order of steps',
  async () => {
    process.stdout.write(`money model: MONEY_MODEL_SEED=${SEED} MONEY_MODEL_RUNS=${RUNS}\n`);
    const interleavings = fc.sample(interleaving, { seed: SEED, numRuns: RUNS });
    for (let first = 0; first < RUNS; first += BATCH_SIZE) {
      if (first > 0 && first % RUNS_PER_DATABASE === 0) await close().then(open);
      const batch = interleavings.slice(first, first + BATCH_SIZE);
      try {
        await performTogether(ledger, await openWorlds(batch.length), batch);
      } catch (error) {
        if (error instanceof RunFailed) await shrink(error.indexes.map((index) => first + index));
        throw error;
      }
    }
  },
  600_000 + RUNS * 1_000,
);

/** Repeats failed runs alone, and throws with the shortest steps that fail. Returns if none fails alone. */
async function shrink(runs: readonly number[]): Promise<void> {
  const property = fc.asyncProperty(interleaving, async (steps) => {
    await close().then(open);
    await performTogether(ledger, await openWorlds(1), [steps]);
  });
  for (const run of runs) await fc.assert(property, { seed: SEED, path: String(run), numRuns: run + 1 });
}
