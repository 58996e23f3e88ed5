import pg from 'pg';
import { pino } from 'pino';
import { type TaskFailure } from '../../../src/core/tasks/task-failure.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Task } from '../../../src/core/tasks/task.js';
import { BudgetRepository } from '../../../src/db/billing/budget-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { findLedgerDrift } from '../../../src/db/billing/ledger-check.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { type NewTask } from '../../../src/db/tasks/task-row.js';
import { type NewImage } from '../../../src/db/tasks/task-transition.js';
import { createTestDatabase, type TestDatabase } from '../setup/test-database.js';

export const WORKSPACE_ID = newId();
export const KEY_ID = newId();
export const END_USER_ID = 'someone';
const FAILURE: TaskFailure = {
  ...{ code: 'UPSTREAM_FAILED', message: 'why', retryable: true, upstreamCode: null, upstreamTraceId: null },
};

/** Runs the statements that move money on a separate database. */
export class LedgerFixture {
  readonly tasks: TaskRepository;
  readonly budgets: BudgetRepository;

  private constructor(
    private readonly database: TestDatabase,
    readonly db: Database,
    readonly sql: pg.Pool,
  ) {
    this.tasks = new TaskRepository(db);
    this.budgets = new BudgetRepository(db);
  }

  static async open(): Promise<LedgerFixture> {
    const database = await createTestDatabase();
    const db = new Database({ url: database.url, maxConnections: 10, log: pino({ level: 'silent' }) });
    return new LedgerFixture(database, db, new pg.Pool({ connectionString: database.url, max: 2 }));
  }

  get url(): string {
    return this.database.url;
  }

  async close(): Promise<void> {
    await this.db.close();
    await this.sql.end();
    await this.database.drop();
  }

  /** A request for images at 0.1 USD each, unless `changes` has another price. */
  buildTask(requestedCount: number, changes: Partial<NewTask> = {}): NewTask {
    return {
      ...{ id: newId(), workspaceId: WORKSPACE_ID, keyId: KEY_ID, endUserId: END_USER_ID, kind: 'GENERATE' },
      keyLineageId: changes.keyId ?? KEY_ID,
      ...{ prompt: 'money', model: 'flux-dev', size: null, sourceImageId: null, sourceImageUrl: null },
      ...{ idempotencyKey: null, inputHash: Buffer.alloc(32), metadata: null, timeoutSeconds: 600 },
      ...{ retryOfId: null, webhookUrl: null, traceId: null, priority: 'NORMAL' },
      ...{ requestedCount, unitPrice: '0.1', currency: 'USD', ...changes },
    };
  }

  /** Inserts a task. Null: a budget has no room. */
  async tryRequest(requestedCount: number, changes: Partial<NewTask> = {}): Promise<Task | null> {
    const task = this.buildTask(requestedCount, changes);
    const inserted = await this.tasks.insert(task, 'test');
    if (inserted) return inserted;
    // Like the service: the first rejected request of a month inserts the counters.
    await this.budgets.explainRejection(task);
    return this.tasks.insert(task, 'test');
  }

  async requestOrThrow(requestedCount: number, changes: Partial<NewTask> = {}): Promise<string> {
    const task = await this.tryRequest(requestedCount, changes);
    if (!task) throw new Error('The task would exceed a budget.');
    return task.id;
  }

  send = (id: string) => this.tasks.transitionTo(id, 'SUBMITTING');
  accept = (id: string) => this.tasks.transitionTo(id, 'RUNNING');
  succeed = (id: string, count: number) =>
    this.tasks.transitionTo(id, 'SUCCEEDED', { images: newImages(count) });
  fail = (id: string) => this.tasks.transitionTo(id, 'FAILED', { failure: FAILURE });
  cancel = (id: string) => this.tasks.transitionTo(id, 'CANCELED');
  expire = (id: string) => this.tasks.transitionTo(id, 'EXPIRED', { failure: FAILURE });
  late = (id: string, count: number) =>
    this.tasks.addLateImages(id, { images: newImages(count), actor: 'test' });
  reportFailed = (id: string) => this.tasks.releaseUncertain(id);

  /** The ledger entries of the task, in the order of writing, as `KIND account amount`. */
  async ledgerEntries(id: string): Promise<string[]> {
    const { rows } = await this.sql.query<{ text: string }>(
      `SELECT kind || ' ' || account || ' ' || trim_scale(amount) AS text FROM ledger_entries WHERE task_id = $1 ORDER BY id`,
      [id],
    );
    return rows.map(({ text }) => text);
  }

  async taskCosts(id: string): Promise<Pick<Task, 'estimatedCost' | 'finalCost' | 'currency'> | undefined> {
    const task = await this.tasks.find(id);
    if (!task) return undefined;
    const { estimatedCost, finalCost, currency } = task;
    return { estimatedCost, finalCost, currency };
  }

  async countDrift(): Promise<number> {
    return (await findLedgerDrift(this.db)).count;
  }
}

function newImages(count: number): NewImage[] {
  return Array.from({ length: count }, (_, index) => ({
    ...{
      id: newId(),
      index,
      upstreamUrl: 'https://x.example/x.png',
      seed: null,
      inferenceSeconds: null,
      upstreamMetadata: {},
    },
  }));
}
