import { pino } from 'pino';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { type SubmitJob } from '../../../src/core/primitives/jobs.js';
import { type Task, type TaskPriority } from '../../../src/core/tasks/task.js';
import { Database } from '../../../src/db/postgres/database.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { FairScheduler } from '../../../src/services/tasks/fair-scheduler.js';
import { ManualJobQueue } from '../crash/manual-job-queue.js';
import { createTestDatabase, type TestDatabase } from '../setup/test-database.js';

const log = pino({ level: 'silent' });
/** More than a test claims. */
export const MAX_SUBMITTING = 10_000;

/** The owner of a task, and its priority. */
export interface TaskOwner {
  workspaceId: string;
  endUserId?: string | null;
  priority?: TaskPriority;
}

/** An instance that schedules tasks, without an upstream. */
export interface SchedulerInstance {
  db: Database;
  tasks: TaskRepository;
  scheduler: FairScheduler;
}

/** Queued tasks and their jobs in a real PostgreSQL, and instances that schedule them. */
export class SchedulerFixture {
  private readonly instances: SchedulerInstance[] = [];
  /** Tasks claimed since the last reset, in the order of the claims. */
  readonly submittedTasks: Task[] = [];

  private constructor(
    private readonly database: TestDatabase,
    readonly sql: pg.Pool,
    readonly jobQueue: ManualJobQueue,
  ) {}

  static async open(): Promise<SchedulerFixture> {
    const database = await createTestDatabase();
    const sql = new pg.Pool({ connectionString: database.url, max: 4 });
    return new SchedulerFixture(database, sql, new ManualJobQueue(sql));
  }

  addInstance(): SchedulerInstance {
    const db = new Database({ url: this.database.url, maxConnections: 10, log });
    const tasks = new TaskRepository(db);
    const instance = {
      db,
      tasks,
      scheduler: new FairScheduler({ tasks, log, maxSubmitting: MAX_SUBMITTING }),
    };
    this.instances.push(instance);
    return instance;
  }

  async close(): Promise<void> {
    await Promise.all(this.instances.map(({ db }) => db.close()));
    await this.sql.end();
    await this.database.drop();
  }

  /** Empties the queue and forgets whom the scheduler served. */
  async reset(): Promise<void> {
    this.submittedTasks.length = 0;
    await this.jobQueue.clear();
    await this.sql.query(`TRUNCATE scheduler_positions`);
    await this.sql.query(`UPDATE scheduler_head SET workspace_id = NULL`);
    await this.sql.query(`UPDATE tasks SET status = 'CANCELED' WHERE status IN ('QUEUED', 'SUBMITTING')`);
  }

  /** Creates a task and returns its ID. */
  async enqueue({ workspaceId, endUserId = null, priority = 'NORMAL' }: TaskOwner): Promise<string> {
    const id = newId();
    const [{ tasks } = this.addInstance()] = this.instances;
    const request = {
      kind: 'GENERATE',
      prompt: 'a cat',
      model: 'flux-dev',
      size: null,
      requestedCount: 1,
    } as const;
    const unusedFields = {
      ...{
        sourceImageId: null,
        sourceImageUrl: null,
        idempotencyKey: null,
        retryOfId: null,
        webhookUrl: null,
      },
      ...{
        traceId: null,
        keyId: newId(),
        keyLineageId: newId(),
        metadata: null,
        inputHash: Buffer.alloc(32),
        timeoutSeconds: 600,
      },
      ...{ unitPrice: null, currency: null },
    };
    await tasks.insert({ id, workspaceId, endUserId, priority, ...request, ...unusedFields }, 'test');
    return id;
  }

  async enqueueMany(count: number, owner: TaskOwner): Promise<string[]> {
    const ids: string[] = [];
    for (let n = 0; n < count; n += 1) ids.push(await this.enqueue(owner));
    return ids;
  }

  /** Locks the next job. Throws when none is due. */
  async takeJob(): Promise<SubmitJob> {
    const job = await this.jobQueue.lockNextJob(0);
    if (!job) throw new Error('No job is due.');
    return job;
  }

  /** Runs the next job until it has claimed a task, and returns that task. */
  async runNextJob({ scheduler }: SchedulerInstance): Promise<Task | null> {
    const job = await this.jobQueue.lockNextJob(0);
    if (!job) return null;
    const { task } = await scheduler.claimNext(job);
    // Recorded before the job is completed, because another claim can happen during that await.
    if (task) this.submittedTasks.push(task);
    await this.jobQueue.complete(job);
    return task ?? null;
  }

  async statuses(ids: readonly string[]): Promise<string[]> {
    const { rows } = await this.sql.query<{ id: string; status: string }>(
      'SELECT id, status FROM tasks WHERE id = ANY($1)',
      [ids],
    );
    const byId = new Map(rows.map(({ id, status }) => [id, status]));
    return ids.map((id) => byId.get(id) ?? 'none');
  }
}
