import { fileURLToPath } from 'node:url';
import { pino } from 'pino';
import { newId } from '../src/core/primitives/ids.js';
import { type Ticket } from '../src/core/jobs.js';
import { Database } from '../src/db/postgres/database.js';
import { migrate } from '../src/db/postgres/migrate.js';
import { Tasks } from '../src/db/tasks/task-repository.js';
import { TakingTurns } from '../src/services/tasks/fair-scheduler.js';
import { type Bench, printOccasion, printTable, quantile, rounded } from './support/bench.js';
import { type OnRelease } from './support/releases.js';
import { makeScratch, type Scratch } from './support/postgres.js';

const MIGRATIONS = fileURLToPath(new URL('../../prisma/migrations', import.meta.url));
const log = pino({ level: 'silent' });
const CLAIMS = 1_000;
const INSTANCES = 2;
/** Their slots. */
const AT_ONCE = 48;

/** Queues of 10,000 tasks, by whom they were asked for. */
const QUEUES = {
  'one workspace': { workspaces: 1, endUsers: 1 },
  '1,000 workspaces': { workspaces: 1_000, endUsers: 1 },
  '10,000 end users': { workspaces: 1, endUsers: 10_000 },
};

/** What does it cost to find out whose turn it is and to take it, on a durable Postgres, in queues of 10,000 tasks? */
export const turns: Bench = async ({ release }) => {
  printOccasion('Milliseconds to claim the task whose turn it is, 10,000 queued');
  const scratch = await makeScratch(release);
  const rows = [];
  const figures: Record<string, object> = {};
  for (const [name, { workspaces, endUsers }] of Object.entries(QUEUES)) {
    const db = await openDatabase(scratch, release);
    const tickets = await fill(db, workspaces, endUsers);
    const alone = await claim(db, tickets.splice(0, CLAIMS), 1);
    const together = await claim(db, tickets.splice(0, CLAIMS * 4), AT_ONCE);
    rows.push([
      name,
      ...[alone, together].flatMap(({ p50, p99, perSecond }) => [p50, p99, perSecond].map(String)),
    ]);
    figures[name] = { alone, together };
    await db.close();
  }
  printTable([
    ['queued by', 'p50 alone', 'p99', 'a second', `p50 of ${AT_ONCE} at once`, 'p99', 'a second'],
    ...rows,
  ]);
  console.log(JSON.stringify({ bench: 'turns', ...figures }));
};

let databases = 0;
async function openDatabase(scratch: Scratch, release: OnRelease): Promise<Database> {
  const url = await scratch.database(`turns${(databases += 1)}`);
  await migrate({ databaseUrl: url, migrationsDir: MIGRATIONS, log });
  const db = new Database({ url, maxConnections: AT_ONCE, log });
  release(() => db.close().catch(() => undefined));
  return db;
}

/** Tickets that the queue has given out, and the tasks that they were queued with. */
async function fill(db: Database, workspaces: number, endUsers: number): Promise<Ticket[]> {
  const ids = Array.from({ length: workspaces }, newId);
  const text = `
    WITH task AS (
      INSERT INTO tasks (id, workspace_id, end_user_id, kind, prompt, model, requested_count, input_hash, deadline_at)
      SELECT gen_random_uuid(), ($1::uuid[])[1 + n % $2], 'user ' || n % $3, 'GENERATE', 'a cat', 'flux-dev', 1, '',
             now() + interval '1 hour'
      FROM generate_series(1, 10000) n RETURNING id
    ), job AS (
      SELECT graphile_worker.add_job('submit-task', json_build_object('taskId', id), flags := ARRAY['upstream']) FROM task
    ) SELECT count(*) FROM job`;
  await db.run({ name: 'fill', text }, [ids, workspaces, endUsers]);
  const take = `UPDATE graphile_worker._private_jobs SET attempts = 1, locked_by = 'bench', locked_at = now()
                RETURNING id, attempts AS attempt, payload->>'taskId' AS "taskId"`;
  return db.run<Ticket>({ name: 'take', text: take }, []);
}

async function claim(db: Database, tickets: Ticket[], atOnce: number) {
  const instances = Array.from(
    { length: Math.min(atOnce, INSTANCES) },
    () => new TakingTurns(new Tasks(db), log),
  );
  const times: number[] = [];
  const startedAt = performance.now();
  const lane = async (_: unknown, place: number) => {
    for (let ticket = tickets.pop(); ticket; ticket = tickets.pop()) {
      const before = performance.now();
      const { task } = await (instances[place % instances.length] as TakingTurns).take(ticket);
      if (!task) throw new Error('A ticket got nothing.');
      times.push(performance.now() - before);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  const seconds = (performance.now() - startedAt) / 1000;
  const at = (share: number) => rounded(quantile(times, share), 2);
  return { p50: at(0.5), p99: at(0.99), perSecond: Math.round(times.length / seconds) };
}
