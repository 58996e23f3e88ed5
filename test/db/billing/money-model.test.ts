import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pino } from 'pino';
import { type Task } from '../../../src/core/tasks/task.js';
import { Database } from '../../../src/db/postgres/database.js';
import { LedgerFixture } from '../../support/billing/ledger-fixture.js';
import { type ModelTask, moneyModel } from '../../support/billing/money-model.js';
import { MoneyWorld } from '../../support/billing/money-world.js';

/** Set MONEY_MODEL_RUNS=10000 for a long search, and MONEY_MODEL_SEED to repeat one. */
const { MONEY_MODEL_RUNS = '60', MONEY_MODEL_SEED = String(Date.now() % 1_000_000_000) } = process.env;
const RUNS = Number(MONEY_MODEL_RUNS);
const SEED = Number(MONEY_MODEL_SEED);
const SCOPES = ['WORKSPACE', 'API_KEY'] as const;

let ledger: LedgerFixture;
let otherDb: Database;
beforeAll(async () => {
  ledger = await LedgerFixture.open();
  otherDb = new Database({ url: ledger.url, maxConnections: 5, log: pino({ level: 'silent' }) });
});
afterAll(async () => {
  await otherDb.close();
  await ledger.close();
});

/** `on` picks a task or an attempt, modulo their number. */
const on = fc.nat(5);
const count = fc.integer({ min: 1, max: 4 });
const limit = { scope: fc.constantFrom(...SCOPES), tenths: fc.option(fc.integer({ min: 0, max: 12 })) };
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('request' as const), count }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('send' as const), on }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constantFrom('accept' as const, 'lose' as const), on }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('refuse' as const), on, canRetry: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom('cancel' as const, 'expire' as const), on }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('report-images' as const), on, count }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('report-failure' as const), on, attempt: fc.nat(3) }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('rotate-key' as const) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('set-budget' as const), ...limit }) },
  // Both at once, on two instances.
  { weight: 2, arbitrary: fc.record({ type: fc.constant('request-and-set' as const), count, ...limit }) },
);
type Command = typeof command extends fc.Arbitrary<infer Value> ? Value : never;
type Limits = Record<(typeof SCOPES)[number], number | null>;

/** The world and what the model expects of it. */
class Run {
  readonly tasks: ModelTask[] = [];
  /** Attempts without a response, as the service read them when it claimed the task. */
  readonly openAttempts: { claimed: Task; task: ModelTask }[] = [];
  limits: Limits = { WORKSPACE: null, API_KEY: null };

  constructor(readonly world: MoneyWorld) {}

  async perform(action: Command): Promise<void> {
    const task = 'on' in action ? this.tasks[action.on % this.tasks.length] : undefined;
    switch (action.type) {
      case 'request': {
        const id = await this.world.request(action.count);
        expect(id !== null).toBe(this.hasRoom(action.count, this.limits));
        if (id !== null) this.tasks.push(moneyModel.request(id, action.count));
        return;
      }
      case 'request-and-set': {
        const before = this.limits;
        const set = this.setBudget(action.scope, action.tenths);
        const [id] = await Promise.all([this.world.request(action.count), set]);
        const allowed = [before, this.limits].map((limits) => this.hasRoom(action.count, limits));
        expect(allowed).toContain(id !== null);
        if (id !== null) this.tasks.push(moneyModel.request(id, action.count));
        return;
      }
      case 'set-budget':
        return this.setBudget(action.scope, action.tenths);
      case 'rotate-key':
        return this.world.rotateKey();
      case 'send': {
        if (!task) return;
        const claimed = await this.world.send(task.id);
        expect(claimed !== null).toBe(moneyModel.send(task));
        if (claimed) this.openAttempts.push({ claimed, task });
        return;
      }
      case 'accept':
      case 'lose':
      case 'refuse':
        return this.respond(action);
      case 'cancel':
      case 'expire': {
        const status = action.type === 'cancel' ? 'CANCELED' : 'EXPIRED';
        if (!task) return;
        await this.world.end(task.id, status);
        return moneyModel.end(task, status);
      }
      case 'report-images':
        if (!task) return;
        await this.world.reportImages(task.id, action.count);
        return moneyModel.reportImages(task, action.count);
      case 'report-failure': {
        if (!task || task.attempts === 0) return;
        const attempt = 1 + (action.attempt % task.attempts);
        await this.world.reportFailure(task.id, attempt);
        return moneyModel.reportFailure(task, attempt);
      }
    }
  }

  private async respond(action: Extract<Command, { type: 'accept' | 'lose' | 'refuse' }>): Promise<void> {
    const [open] = this.openAttempts.splice(action.on % Math.max(1, this.openAttempts.length), 1);
    if (!open) return;
    const { claimed, task } = open;
    if (action.type === 'refuse') {
      await this.world.refuse(claimed, action);
      moneyModel.refuse(task, claimed.attempts, action);
    } else {
      await this.world[action.type](claimed);
      moneyModel[action.type](task);
    }
  }

  private async setBudget(scope: (typeof SCOPES)[number], tenths: number | null): Promise<void> {
    await this.world.setBudget(scope, tenths);
    this.limits = { ...this.limits, [scope]: tenths };
  }

  private hasRoom(requested: number, limits: Limits): boolean {
    const { reserved, spent, uncertain } = moneyModel.used(this.tasks);
    return SCOPES.every((scope) => {
      const tenths = limits[scope];
      return tenths === null || tenths - reserved - spent - uncertain >= requested;
    });
  }

  /** Compares every task, every budget and the whole ledger with the model. */
  async check(): Promise<void> {
    for (const task of this.tasks) {
      const [row] = (
        await ledger.sql.query<object>(
          `SELECT status, attempts, delivered_count AS "deliveredCount", late_image_count AS "lateCount",
                  (uncertain * 10)::int AS "uncertainCount", (spent * 10)::int AS spent FROM tasks WHERE id = $1`,
          [task.id],
        )
      ).rows;
      const { id, requestedCount, ...expected } = task;
      expect({ id, requestedCount, ...row }).toEqual({
        ...{ id, requestedCount, ...expected },
        spent: task.deliveredCount + task.lateCount,
      });
    }
    const used = moneyModel.used(this.tasks);
    for (const scope of SCOPES) {
      const tenths = this.limits[scope];
      const budget = await this.world.findBudget(scope);
      const amounts = budget && [
        budget.limit,
        budget.reserved,
        budget.spent,
        budget.uncertain,
        budget.remaining,
      ];
      const { reserved, spent, uncertain } = used;
      expect(amounts?.map((amount) => Math.round(Number(amount) * 10)) ?? null).toEqual(
        tenths === null ? null : [tenths, reserved, spent, uncertain, tenths - reserved - spent - uncertain],
      );
    }
    expect(await ledger.countDrift()).toBe(0);
  }
}

test(
  'the ledger and the budgets equal the model after every step, in any order of steps',
  async () => {
    process.stdout.write(`money model: MONEY_MODEL_SEED=${SEED} MONEY_MODEL_RUNS=${RUNS}\n`);
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 25 }), async (commands) => {
        const run = new Run(await MoneyWorld.open(ledger, otherDb));
        for (const action of commands) {
          await run.perform(action);
          await run.check();
        }
      }),
      { numRuns: RUNS, seed: SEED },
    );
  },
  600_000 + RUNS * 1_000,
);
