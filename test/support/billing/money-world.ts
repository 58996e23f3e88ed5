import { pino } from 'pino';
import { InputRejected } from '../../../src/core/errors.js';
import { UpstreamError } from '../../../src/core/tasks/upstream-error.js';
import { PriceList } from '../../../src/core/billing/prices.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type BudgetScope } from '../../../src/core/billing/money.js';
import { isFinal, type Task } from '../../../src/core/tasks/task.js';
import { type TaskFailure } from '../../../src/core/tasks/task-failure.js';
import { ApiKeyRepository, keyCreatedEntry } from '../../../src/db/access/api-key-repository.js';
import { WorkspaceRepository } from '../../../src/db/access/workspace-repository.js';
import { BudgetRepository } from '../../../src/db/billing/budget-repository.js';
import { type Database } from '../../../src/db/postgres/database.js';
import { SubmissionPaceRepository } from '../../../src/db/tasks/submission-pace-repository.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { type EventLog } from '../../../src/event-log/event-log.js';
import { RequestPricing } from '../../../src/services/billing/request-pricing.js';
import { BackPressure } from '../../../src/services/tasks/back-pressure.js';
import { Results } from '../../../src/services/tasks/results.js';
import { type LedgerFixture } from './ledger-fixture.js';

const log = pino({ level: 'silent' });
const FAILURE: TaskFailure = {
  ...{ code: 'UPSTREAM_FAILED', message: 'why', retryable: true, upstreamCode: null, upstreamTraceId: null },
};
const UPSTREAM_IDS = { upstreamTaskId: null, upstreamTraceId: null };
/** More than a task has attempts in a run. */
const RETRY_DELAYS_MS = Array<number>(50).fill(1_000);

/** One instance of the service, as far as it moves money. */
class Instance {
  readonly tasks: TaskRepository;
  readonly budgets: BudgetRepository;
  readonly results: Results;
  readonly pricing: RequestPricing;

  constructor(readonly db: Database) {
    this.tasks = new TaskRepository(db);
    this.budgets = new BudgetRepository(db);
    this.pricing = new RequestPricing({ budgets: this.budgets, priceList: new PriceList([]) });
    const eventLog = { requestSeal: () => undefined } as unknown as EventLog;
    const backPressure = new BackPressure({ submissionPace: new SubmissionPaceRepository(db), log });
    this.results = new Results({ tasks: this.tasks, eventLog, backPressure, log });
  }
}

/** A workspace of its own with one API key, on two instances. Each step runs on one of them. */
export class MoneyWorld {
  private steps = 0;

  private constructor(
    private readonly ledger: LedgerFixture,
    private readonly instances: readonly Instance[],
    readonly workspaceId: string,
    readonly lineageId: string,
    private keyId: string,
  ) {}

  static async open(ledger: LedgerFixture, otherDb: Database): Promise<MoneyWorld> {
    const [workspaceId, keyId] = [newId(), newId()];
    const hint = { prefix: 'dk_123456', lastFour: '7890', hash: Buffer.from(keyId) };
    const key = { id: keyId, workspaceId, name: 'model', ...hint, scopes: [], limits: {}, expiresAt: null };
    await new WorkspaceRepository(ledger.db).insert({ id: workspaceId, name: 'model' }, key, [
      keyCreatedEntry('test', key),
    ]);
    const instances = [new Instance(ledger.db), new Instance(otherDb)];
    return new MoneyWorld(ledger, instances, workspaceId, keyId, keyId);
  }

  /** The instances take turns. */
  get instance(): Instance {
    this.steps += 1;
    return this.instances[this.steps % this.instances.length] as Instance;
  }

  /** Requests images at 0.1 USD each. Null: a budget has no room. */
  async request(requestedCount: number): Promise<string | null> {
    const { tasks, pricing } = this.instance;
    const { workspaceId, keyId, lineageId: keyLineageId } = this;
    const owner = { workspaceId, keyId, keyLineageId, endUserId: null };
    const task = this.ledger.buildTask(requestedCount, owner);
    for (let attempt = 1; ; attempt += 1) {
      if (await tasks.insert(task, 'test')) return task.id;
      try {
        await pricing.throwIfOverBudget(task, attempt);
      } catch (error) {
        if (error instanceof InputRejected) return null;
        throw error;
      }
    }
  }

  send = (id: string): Promise<Task | null> => this.instance.tasks.transitionTo(id, 'SUBMITTING');

  accept = (task: Task): Promise<void> =>
    this.instance.results.applySubmitResponse(task, {
      kind: 'accepted',
      upstreamTaskId: `upstream-${task.id}`,
      upstreamTraceId: null,
    });

  lose = (task: Task): Promise<void> =>
    this.instance.results.applySubmitFailure(
      task,
      new UpstreamError('unknown', FAILURE, { retryDelaysMs: [] }),
    );

  refuse = (task: Task, { canRetry }: { canRetry: boolean }): Promise<void> => {
    const retryDelaysMs = canRetry ? RETRY_DELAYS_MS : [];
    return this.instance.results.applySubmitFailure(
      task,
      new UpstreamError('refused', FAILURE, { retryDelaysMs }),
    );
  };

  /** Another run of the submit job finds the task, whose process has ended or is only slow. */
  async interrupt(id: string): Promise<void> {
    const { tasks, results } = this.instance;
    const task = await tasks.find(id);
    if (task) await results.markUnconfirmed(task, 'The process ended.');
  }

  async reportFailure(id: string, attempt: number): Promise<void> {
    const callback = { id: newId(), attempt, body: Buffer.from('{}') };
    await this.instance.results.apply(
      id,
      { kind: 'failed', failure: FAILURE, ...UPSTREAM_IDS },
      { actor: 'test', callback },
    );
  }

  async reportImages(id: string, count: number): Promise<void> {
    const upstreamMetadata = { seed: undefined, timings: undefined };
    const images = Array.from({ length: count }, (_, index) => ({
      ...{ upstreamUrl: `https://x.example/${id}-${index}.png`, seed: null, inferenceSeconds: null },
      upstreamMetadata,
    }));
    await this.instance.results.apply(id, { kind: 'succeeded', images, ...UPSTREAM_IDS }, { actor: 'test' });
  }

  /** As cancelTask and the deadline do: they change the status that they have read, and try again if it has changed. */
  async end(id: string, status: 'CANCELED' | 'EXPIRED'): Promise<void> {
    const { tasks } = this.instance;
    for (;;) {
      const task = await tasks.find(id);
      if (!task || isFinal(task.status)) return;
      const fromStatuses = [task.status];
      if (await tasks.transitionTo(id, status, { fromStatuses, failure: FAILURE })) return;
    }
  }

  async rotateKey(): Promise<void> {
    const id = newId();
    const successor = { id, prefix: 'dk_123456', lastFour: '7890', hash: Buffer.from(id) };
    const key = { id, workspaceId: this.workspaceId, name: 'model', scopes: [] };
    const audit = keyCreatedEntry('test', key);
    const keys = new ApiKeyRepository(this.instance.db);
    const rotated = await keys.rotate({ workspaceId: this.workspaceId, id: this.keyId }, successor, {
      gracePeriodSeconds: 60,
      audit,
    });
    if (rotated?.lineageId !== this.lineageId) throw new Error('The rotated key has another lineage.');
    this.keyId = rotated.id;
  }

  budgetKey(scope: Exclude<BudgetScope, 'END_USER'>) {
    const scopeId = scope === 'WORKSPACE' ? this.workspaceId : this.lineageId;
    return { workspaceId: this.workspaceId, scope, scopeId };
  }

  /** Sets a limit in tenths of a dollar, the price of one image. Null removes the budget. */
  async setBudget(scope: Exclude<BudgetScope, 'END_USER'>, tenths: number | null): Promise<void> {
    const { budgets } = this.instance;
    if (tenths === null) return budgets.remove(this.budgetKey(scope));
    await budgets.set(this.budgetKey(scope), { amount: (tenths / 10).toFixed(1), currency: 'USD' });
  }

  /** All budgets, in one read. */
  findBudgets = () =>
    this.instance.budgets.page({ workspaceId: this.workspaceId, endUserId: null }, null, {
      after: null,
      limit: 10,
    });
}
