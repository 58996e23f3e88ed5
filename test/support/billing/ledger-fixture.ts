import pg from 'pg';
import { pino } from 'pino';
import { type TaskFailure } from '../../../src/core/tasks/task-failure.js';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Task } from '../../../src/core/tasks/task.js';
import { Budgets } from '../../../src/db/billing/budget-repository.js';
import { Database } from '../../../src/db/postgres/database.js';
import { ledgerDrift } from '../../../src/db/billing/ledger-check.js';
import { type NewImage, type NewTask, Tasks } from '../../../src/db/tasks/task-repository.js';
import { createTestDatabase, type TestDatabase } from '../setup/test-database.js';

export const WORKSPACE = newId();
export const KEY = newId();
export const END_USER = 'someone';
const FAILURE: TaskFailure = {
  ...{ code: 'UPSTREAM_FAILED', message: 'why', retryable: true, upstreamCode: null, upstreamTraceId: null },
};

/** The statements that move money, on a database of their own. */
export class MoneyWorld {
  readonly tasks: Tasks;
  readonly budgets: Budgets;

  private constructor(
    private readonly database: TestDatabase,
    readonly db: Database,
    readonly sql: pg.Pool,
  ) {
    this.tasks = new Tasks(db);
    this.budgets = new Budgets(db);
  }

  static async open(): Promise<MoneyWorld> {
    const database = await createTestDatabase();
    const db = new Database({ url: database.url, maxConnections: 10, log: pino({ level: 'silent' }) });
    return new MoneyWorld(database, db, new pg.Pool({ connectionString: database.url, max: 2 }));
  }

  async close(): Promise<void> {
    await this.db.close();
    await this.sql.end();
    await this.database.drop();
  }

  /** A request for pictures at 0.1 USD each, unless said otherwise. */
  newTask(requestedCount: number, changes: Partial<NewTask> = {}): NewTask {
    return {
      ...{ id: newId(), workspaceId: WORKSPACE, keyId: KEY, endUserId: END_USER, kind: 'GENERATE' },
      ...{ prompt: 'money', model: 'flux-dev', size: null, sourceImageId: null, sourceImageUrl: null },
      ...{ idempotencyKey: null, inputHash: Buffer.alloc(32), metadata: null, timeoutSeconds: 600 },
      ...{ retryOfId: null, callbackUrl: null, traceId: null, priority: 'NORMAL' },
      ...{ requestedCount, unitPrice: '0.1', currency: 'USD', ...changes },
    };
  }

  /** Asks for pictures. Null: a budget has no room. */
  async request(requestedCount: number, changes: Partial<NewTask> = {}): Promise<Task | null> {
    const task = this.newTask(requestedCount, changes);
    const made = await this.tasks.insert(task, 'test');
    if (made) return made;
    // As the service does: the month's counters are made by the first who finds that there are none.
    await this.budgets.explain(task);
    return this.tasks.insert(task, 'test');
  }

  async requested(requestedCount: number, changes: Partial<NewTask> = {}): Promise<string> {
    const task = await this.request(requestedCount, changes);
    if (!task) throw new Error('A budget has no room.');
    return task.id;
  }

  send = (id: string) => this.tasks.moveTo(id, 'SUBMITTING');
  accept = (id: string) => this.tasks.moveTo(id, 'RUNNING');
  succeed = (id: string, count: number) => this.tasks.moveTo(id, 'SUCCEEDED', { images: pictures(count) });
  fail = (id: string) => this.tasks.moveTo(id, 'FAILED', { failure: FAILURE });
  cancel = (id: string) => this.tasks.moveTo(id, 'CANCELED');
  expire = (id: string) => this.tasks.moveTo(id, 'EXPIRED', { failure: FAILURE });
  late = (id: string, count: number) => this.tasks.keepLate(id, pictures(count), 'test');
  tellFailed = (id: string) => this.tasks.releaseHeld(id);

  /** The task's entries in the order of writing, as `KIND account amount`. */
  async entries(id: string): Promise<string[]> {
    const { rows } = await this.sql.query<{ text: string }>(
      `SELECT kind || ' ' || account || ' ' || trim_scale(amount) AS text FROM ledger_entries WHERE task_id = $1 ORDER BY id`,
      [id],
    );
    return rows.map(({ text }) => text);
  }

  async costs(id: string): Promise<Pick<Task, 'estimatedCost' | 'finalCost' | 'currency'> | undefined> {
    const task = await this.tasks.find(id);
    if (!task) return undefined;
    const { estimatedCost, finalCost, currency } = task;
    return { estimatedCost, finalCost, currency };
  }

  async drift(): Promise<number> {
    return (await ledgerDrift(this.db)).drift;
  }
}

function pictures(count: number): NewImage[] {
  return Array.from({ length: count }, (_, index) => ({
    ...{
      id: newId(),
      index,
      url: 'https://x.example/x.png',
      seed: null,
      inferenceSeconds: null,
      reported: {},
    },
  }));
}
