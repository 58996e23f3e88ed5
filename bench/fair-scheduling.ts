import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { newId } from '../src/core/primitives/ids.js';
import { type SubmitJob } from '../src/core/primitives/jobs.js';
import { Database } from '../src/db/postgres/database.js';
import { migrate } from '../src/db/postgres/migrate.js';
import { statement } from '../src/db/postgres/statement.js';
import { TaskRepository } from '../src/db/tasks/task-repository.js';
import { FairScheduler } from '../src/services/tasks/fair-scheduler.js';
import { type Bench, printHeader, printTable, quantile, roundTo } from './support/bench.js';
import { type RegisterRelease } from './support/releases.js';
import { createScratch, type Scratch } from './support/postgres.js';

const MIGRATIONS = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));
const log = pino({ level: 'silent' });
const CLAIMS = 1_000;
const INSTANCES = 2;
/** Job slots of the instances together. */
const CONCURRENT_CLAIMS = 48;

/** Queues of 10,000 tasks by the number of workspaces and end users. */
const QUEUES = {
  'one workspace': { workspaces: 1, endUsers: 1 },
  '1,000 workspaces': { workspaces: 1_000, endUsers: 1 },
  '10,000 end users': { workspaces: 1, endUsers: 10_000 },
};

/** How long does it take to pick and claim the next task on a durable PostgreSQL, with 10,000 tasks queued? */
export const fairScheduling: Bench = async ({ release }) => {
  printHeader('Milliseconds to claim the next task, with 10,000 queued');
  const scratch = await createScratch(release);
  const rows = [];
  const figures: Record<string, object> = {};
  for (const [name, { workspaces, endUsers }] of Object.entries(QUEUES)) {
    const db = await openDatabase(scratch, release);
    const submitJobs = await fillQueue(db, workspaces, endUsers);
    const alone = await measureClaims(db, submitJobs.splice(0, CLAIMS), 1);
    const together = await measureClaims(db, submitJobs.splice(0, CLAIMS * 4), CONCURRENT_CLAIMS);
    rows.push([
      name,
      ...[alone, together].flatMap(({ p50, p99, perSecond }) => [p50, p99, perSecond].map(String)),
    ]);
    figures[name] = { alone, together };
    await db.close();
  }
  printTable([
    [
      'queued by',
      'p50 alone',
      'p99',
      'per second',
      `p50 of ${CONCURRENT_CLAIMS} at once`,
      'p99',
      'per second',
    ],
    ...rows,
  ]);
  console.log(JSON.stringify({ bench: 'fair-scheduling', ...figures }));
};

let databaseCount = 0;
async function openDatabase(scratch: Scratch, release: RegisterRelease): Promise<Database> {
  const url = await scratch.database(`fair_scheduling_${(databaseCount += 1)}`);
  await migrate({ databaseUrl: url, migrationsDir: MIGRATIONS, log });
  const db = new Database({ url, maxConnections: CONCURRENT_CLAIMS, log });
  release(() => db.close().catch(() => undefined));
  return db;
}

/** Queues 10,000 tasks with their jobs, and returns the jobs as if the queue had locked them. */
async function fillQueue(db: Database, workspaces: number, endUsers: number): Promise<SubmitJob[]> {
  const ids = Array.from({ length: workspaces }, newId);
  const fill = statement<{ ids: string[]; workspaces: number; endUsers: number }>(
    'fill',
    `
    WITH task AS (
      INSERT INTO tasks (id, workspace_id, end_user_id, kind, prompt, model, requested_count, input_hash, deadline_at)
      SELECT gen_random_uuid(), (:ids::uuid[])[1 + n % :workspaces], 'user ' || n % :endUsers, 'GENERATE', 'a cat', 'flux-dev', 1, '',
             now() + interval '1 hour'
      FROM generate_series(1, 10000) n RETURNING id
    ), job AS (
      SELECT enqueue_job('submit-task', json_build_object('taskId', id), job_flags := ARRAY['upstream']) FROM task
    ) SELECT count(*) FROM job`,
  );
  await db.query(fill, { ids, workspaces, endUsers });
  const lockJobs = statement<object, SubmitJob>(
    'take',
    `UPDATE graphile_worker._private_jobs SET attempts = 1, locked_by = 'bench', locked_at = now()
     RETURNING id, attempts AS "runNumber", payload->>'taskId' AS "taskId"`,
  );
  return db.query(lockJobs, {});
}

async function measureClaims(db: Database, submitJobs: SubmitJob[], concurrency: number) {
  const instances = Array.from(
    { length: Math.min(concurrency, INSTANCES) },
    () => new FairScheduler({ tasks: new TaskRepository(db), log, maxSubmitting: 10_000 }),
  );
  const times: number[] = [];
  const startedAt = performance.now();
  const lane = async (_: unknown, laneIndex: number) => {
    for (let submitJob = submitJobs.pop(); submitJob; submitJob = submitJobs.pop()) {
      const before = performance.now();
      const { task } = await (instances[laneIndex % instances.length] as FairScheduler).claimNext(submitJob);
      if (!task) throw new Error('A submit job got no task.');
      times.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  const seconds = (performance.now() - startedAt) / 1000;
  const percentile = (fraction: number) => roundTo(quantile(times, fraction), 2);
  return { p50: percentile(0.5), p99: percentile(0.99), perSecond: Math.round(times.length / seconds) };
}
