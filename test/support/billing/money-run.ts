import { expect } from '@jest/globals';
import fc from 'fast-check';
import { type Task } from '../../../src/core/tasks/task.js';
import { type LedgerFixture } from './ledger-fixture.js';
import { type ModelTask, moneyModel } from './money-model.js';
import { type MoneyWorld } from './money-world.js';

const SCOPES = ['WORKSPACE', 'API_KEY'] as const;
type Scope = (typeof SCOPES)[number];
type Limits = Record<Scope, number | null>;

/** `on` picks a task or an attempt, modulo their number. */
const on = fc.nat(5);
const count = fc.integer({ min: 1, max: 4 });
const limit = { scope: fc.constantFrom(...SCOPES), tenths: fc.option(fc.integer({ min: 0, max: 12 })) };
const respond = fc.oneof(
  { weight: 3, arbitrary: fc.record({ type: fc.constantFrom('accept' as const, 'lose' as const), on }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant('refuse' as const), on, canRetry: fc.boolean() }) },
);
/** What happens to one task at any time. */
const happen = fc.oneof(
  // Another instance takes the process that sends the task for dead. Its response can still come.
  { weight: 1, arbitrary: fc.record({ type: fc.constant('interrupt' as const), on }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constantFrom('cancel' as const, 'expire' as const), on }) },
  // By a callback or a read, of any attempt. A second report can be fuller than the first.
  { weight: 5, arbitrary: fc.record({ type: fc.constant('report-images' as const), on, count }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('report-failure' as const), on, attempt: fc.nat(3) }),
  },
);
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ type: fc.constant('request' as const), count }) },
  { weight: 5, arbitrary: fc.record({ type: fc.constant('send' as const), on }) },
  { weight: 7, arbitrary: respond },
  { weight: 13, arbitrary: happen },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('rotate-key' as const) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('set-budget' as const), ...limit }) },
  // Both at once, on two instances.
  { weight: 2, arbitrary: fc.record({ type: fc.constant('request-and-set' as const), count, ...limit }) },
  {
    weight: 4,
    arbitrary: fc.record({ type: fc.constant('at-once' as const), one: happen, other: happen, on }),
  },
);
type Command = typeof command extends fc.Arbitrary<infer Value> ? Value : never;
type Happening = typeof happen extends fc.Arbitrary<infer Value> ? Value : never;

/** The steps of one run. */
export const interleaving = fc.array(command, { minLength: 5, maxLength: 25 });
export type Interleaving = Command[];

/** The rows of many runs, which one statement reads after each step. */
interface TaskRow extends Omit<ModelTask, 'requestedCount'> {
  spent: number;
}

/** One world and what the model expects of it. */
export class MoneyRun {
  private readonly tasks: ModelTask[] = [];
  /** Attempts without a response, as the service read them when it claimed the task. */
  private readonly openAttempts: { claimed: Task; task: ModelTask }[] = [];
  private limits: Limits = { WORKSPACE: null, API_KEY: null };
  /** The task that two things have happened to at once, and what it may be: after one order, or after the other. */
  private undecided: { index: number; outcomes: ModelTask[] } | null = null;

  constructor(private readonly world: MoneyWorld) {}

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
      case 'at-once': {
        if (!task) return;
        const orders = [
          [action.one, action.other],
          [action.other, action.one],
        ] as const;
        const outcomes = orders.map((order) => {
          const outcome = { ...task };
          for (const happening of order) expectHappening(outcome, happening);
          return outcome;
        });
        await Promise.all([this.happen(task, action.one), this.happen(task, action.other)]);
        this.undecided = { index: this.tasks.indexOf(task), outcomes };
        return;
      }
      default:
        if (!task) return;
        await this.happen(task, action);
        expectHappening(task, action);
    }
  }

  private async happen(task: ModelTask, action: Happening): Promise<void> {
    switch (action.type) {
      case 'interrupt':
        return this.world.interrupt(task.id);
      case 'cancel':
      case 'expire':
        return this.world.end(task.id, action.type === 'cancel' ? 'CANCELED' : 'EXPIRED');
      case 'report-images':
        return this.world.reportImages(task.id, action.count);
      case 'report-failure':
        if (task.attempts > 0) await this.world.reportFailure(task.id, 1 + (action.attempt % task.attempts));
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
      moneyModel[action.type](task, claimed.attempts);
    }
  }

  private async setBudget(scope: Scope, tenths: number | null): Promise<void> {
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

  /** Compares every task and every budget with the model. `rows` has those of this run among others. */
  check(rows: ReadonlyMap<string, TaskRow>, budgets: readonly BudgetRow[]): void {
    if (this.undecided) {
      const { index, outcomes } = this.undecided;
      const actual = rows.get(outcomes[0]?.id ?? '');
      const decided = outcomes.find((outcome) => this.isEqual(outcome, actual));
      expect({ actual, isOneOf: outcomes, found: decided !== undefined }).toMatchObject({ found: true });
      // Attempts without a response refer to the same object.
      if (decided) Object.assign(this.tasks[index] ?? {}, decided);
      this.undecided = null;
    }
    for (const task of this.tasks) expect(rows.get(task.id)).toEqual(toRow(task));
    const own = budgets.filter(({ workspaceId }) => workspaceId === this.world.workspaceId);
    this.compareBudgets(own.map(({ scope, amounts }) => [scope, ...amounts]));
  }

  /** The same for the budgets as the service reports them. */
  async checkReport(): Promise<void> {
    const budgets = await this.world.findBudgets();
    this.compareBudgets(
      budgets.map(({ scope, limit, reserved, spent, uncertain, remaining }) => [
        scope,
        ...[limit, reserved, spent, uncertain, remaining].map((amount) => Math.round(Number(amount) * 10)),
      ]),
    );
  }

  private compareBudgets(actual: (string | number)[][]): void {
    const { reserved, spent, uncertain } = moneyModel.used(this.tasks);
    const expected = SCOPES.flatMap((scope) => {
      const tenths = this.limits[scope];
      if (tenths === null) return [];
      return [[scope, tenths, reserved, spent, uncertain, tenths - reserved - spent - uncertain]];
    });
    expect(new Set(actual)).toEqual(new Set(expected));
  }

  private isEqual(task: ModelTask, row: TaskRow | undefined): boolean {
    return JSON.stringify(toRow(task)) === JSON.stringify(row);
  }
}

/** Changes a task of the model as something that happens to it at any time. */
function expectHappening(task: ModelTask, action: Happening): void {
  switch (action.type) {
    case 'interrupt':
      return moneyModel.lose(task, task.attempts);
    case 'cancel':
    case 'expire':
      return moneyModel.end(task, action.type === 'cancel' ? 'CANCELED' : 'EXPIRED');
    case 'report-images':
      return moneyModel.reportImages(task, action.count);
    case 'report-failure':
      if (task.attempts > 0) moneyModel.reportFailure(task, 1 + (action.attempt % task.attempts));
  }
}

/** In the order of READ_TASKS, which `isEqual` relies on. */
function toRow({ id, status, attempts, deliveredCount, lateCount, uncertainCount }: ModelTask): TaskRow {
  const spent = deliveredCount + lateCount;
  return { id, status, attempts, deliveredCount, lateCount, uncertainCount, spent };
}

/** The amounts of a budget in tenths of a dollar: limit, reserved, spent, uncertain, and what is left. */
interface BudgetRow {
  workspaceId: string;
  scope: Scope;
  amounts: number[];
}

const READ_BUDGETS = `SELECT workspace_id AS "workspaceId", scope, ARRAY[amount, coalesce(reserved, 0), coalesce(spent, 0),
    coalesce(uncertain, 0), amount - coalesce(reserved + spent + uncertain, 0)]::float[] AS amounts
  FROM budgets LEFT JOIN budget_counters USING (workspace_id, scope, scope_id, currency)`;

const READ_TASKS = `SELECT id, status, attempts::int, delivered_count::int AS "deliveredCount",
  late_image_count::int AS "lateCount", (uncertain * 10)::int AS "uncertainCount", (spent * 10)::int AS spent FROM tasks`;

/**
 * Performs many runs side by side, each in a workspace of its own: the first step of all, then a comparison of all, then the second
 * step. The comparison of the ledger reads everything, so it costs as much for all as for one. Throws with the index of a run that
 * differs from the model.
 */
export async function performTogether(
  ledger: LedgerFixture,
  worlds: readonly MoneyWorld[],
  interleavings: readonly Interleaving[],
): Promise<void> {
  const runs = worlds.map((world) => new MoneyRun(world));
  const steps = Math.max(...interleavings.map(({ length }) => length));
  for (let step = 0; step < steps; step += 1) {
    const current = [...runs.keys()].filter((index) => step < (interleavings[index]?.length ?? 0));
    await inEach(current, async (index) => {
      const action = interleavings[index]?.[step];
      if (action) await runs[index]?.perform(action);
    });
    const [tasks, budgets, drift] = await Promise.all([
      ledger.sql.query<TaskRow>(READ_TASKS),
      ledger.sql.query<BudgetRow>(READ_BUDGETS),
      ledger.countDrift(),
    ]);
    const rowById = new Map(tasks.rows.map((row) => [row.id, row]));
    const tenths = budgets.rows.map((row) => ({
      ...row,
      amounts: row.amounts.map((amount) => Math.round(amount * 10)),
    }));
    await inEach(current, async (index) => {
      runs[index]?.check(rowById, tenths);
      if (step + 1 === interleavings[index]?.length) await runs[index]?.checkReport();
    });
    if (drift > 0) throw new RunFailed(current, new Error(`The ledger differs in ${drift} places.`));
  }
}

/** Runs that differ from the model: one, or those of which one does. */
export class RunFailed extends Error {
  constructor(
    readonly indexes: readonly number[],
    cause: unknown,
  ) {
    super('A run differs from the model.', { cause });
  }
}

/** No more than there are connections, so that a slow machine lets nothing wait for one until it gives up. */
const RUNS_AT_ONCE = 10;

async function inEach(indexes: readonly number[], work: (index: number) => Promise<void>): Promise<void> {
  const waiting = [...indexes];
  const worker = async () => {
    for (let index = waiting.shift(); index !== undefined; index = waiting.shift()) {
      try {
        await work(index);
      } catch (error) {
        throw new RunFailed([index], error);
      }
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: RUNS_AT_ONCE }, worker));
  for (const result of workers) if (result.status === 'rejected') throw result.reason;
}
