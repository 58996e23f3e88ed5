import { pino } from 'pino';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Ticket } from '../../../src/core/jobs.js';
import { type Task, type TaskPriority } from '../../../src/core/tasks/task.js';
import { Database } from '../../../src/db/postgres/database.js';
import { Tasks } from '../../../src/db/tasks/task-repository.js';
import { TakingTurns } from '../../../src/services/tasks/fair-scheduler.js';
import { TicketQueue } from '../crash/manual-job-queue.js';
import { createTestDatabase, type TestDatabase } from '../setup/test-database.js';

const log = pino({ level: 'silent' });

/** Whose task it is. */
export interface Asker {
  workspaceId: string;
  endUserId?: string | null;
  priority?: TaskPriority;
}

/** An instance that takes turns, without an upstream. */
export interface Instance {
  db: Database;
  tasks: Tasks;
  turns: TakingTurns;
}

/** Queued tasks and their tickets in a real Postgres, and instances that take turns. */
export class WaitingLine {
  private readonly instances: Instance[] = [];
  /** Since the last clear, in the order in which their turns came. */
  readonly sent: Task[] = [];

  private constructor(
    private readonly database: TestDatabase,
    readonly sql: pg.Pool,
    readonly tickets: TicketQueue,
  ) {}

  static async open(): Promise<WaitingLine> {
    const database = await createTestDatabase();
    const sql = new pg.Pool({ connectionString: database.url, max: 4 });
    return new WaitingLine(database, sql, new TicketQueue(sql));
  }

  instance(): Instance {
    const db = new Database({ url: this.database.url, maxConnections: 10, log });
    const tasks = new Tasks(db);
    const instance = { db, tasks, turns: new TakingTurns(tasks, log) };
    this.instances.push(instance);
    return instance;
  }

  async close(): Promise<void> {
    await Promise.all(this.instances.map(({ db }) => db.close()));
    await this.sql.end();
    await this.database.drop();
  }

  /** Nobody waits, and nobody has had a turn. */
  async clear(): Promise<void> {
    this.sent.length = 0;
    await this.tickets.clear();
    await this.sql.query(`TRUNCATE turns`);
    await this.sql.query(`UPDATE turn_head SET workspace_id = NULL`);
    await this.sql.query(`UPDATE tasks SET status = 'CANCELED' WHERE status IN ('QUEUED', 'SUBMITTING')`);
  }

  /** Asks for a task. Its id. */
  async queue({ workspaceId, endUserId = null, priority = 'NORMAL' }: Asker): Promise<string> {
    const id = newId();
    const [{ tasks } = this.instance()] = this.instances;
    const wish = {
      kind: 'GENERATE',
      prompt: 'a cat',
      model: 'flux-dev',
      size: null,
      requestedCount: 1,
    } as const;
    const none = {
      ...{
        sourceImageId: null,
        sourceImageUrl: null,
        idempotencyKey: null,
        retryOfId: null,
        callbackUrl: null,
      },
      ...{ traceId: null, keyId: newId(), metadata: null, inputHash: Buffer.alloc(32), timeoutSeconds: 600 },
      ...{ unitPrice: null, currency: null },
    };
    await tasks.insert({ id, workspaceId, endUserId, priority, ...wish, ...none }, 'test');
    return id;
  }

  async queueMany(count: number, asker: Asker): Promise<string[]> {
    const ids: string[] = [];
    for (let n = 0; n < count; n += 1) ids.push(await this.queue(asker));
    return ids;
  }

  /** A ticket that the queue gives out. */
  async ticket(): Promise<Ticket> {
    const ticket = await this.tickets.take(0);
    if (!ticket) throw new Error('No ticket waits.');
    return ticket;
  }

  /** Runs a ticket up to the sending; the task that it sends. */
  async runTicket({ turns }: Instance): Promise<Task | null> {
    const ticket = await this.tickets.take(0);
    if (!ticket) return null;
    const { task } = await turns.take(ticket);
    // Before the ticket goes: that takes as long as it takes, and others overtake it.
    if (task) this.sent.push(task);
    await this.tickets.complete(ticket);
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
