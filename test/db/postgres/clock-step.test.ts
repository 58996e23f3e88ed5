import { afterEach, beforeEach, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { InstanceRepository } from '../../../src/db/instances/instance-repository.js';
import { LeaseRepository } from '../../../src/db/instances/lease-repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

/** The server before the failover was this much ahead of the one after it. */
const STEP = `interval '10 minutes'`;
const DEAD_AFTER_MS = 1_000;

let database: TestDatabase;
let sql: pg.Client;
let db: Database;
let instances: InstanceRepository;
beforeEach(async () => {
  database = await createTestDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  db = new Database({ url: database.url, maxConnections: 4, log: pino({ level: 'silent' }) });
  instances = new InstanceRepository(db);
});
afterEach(async () => {
  await db.close();
  await sql.end();
  await database.drop();
});

async function readRow<Row>(query: string): Promise<Row | undefined> {
  const { rows } = await sql.query(query);
  return rows[0] as Row | undefined;
}

test('a lease that the clock of the last server made too long is free', async () => {
  const leases = new LeaseRepository(db);
  expect(await leases.acquire('upstream-reading', 1_000)).toBe(true);
  await sql.query(`UPDATE leases SET expires_at = expires_at + ${STEP}`);
  expect(await leases.acquire('upstream-reading', 1_000)).toBe(true);
});

test('a lease that was extended is not free', async () => {
  const leases = new LeaseRepository(db);
  expect(await leases.acquire('upstream-reading', 1)).toBe(true);
  await leases.extend('upstream-reading', 4_000);
  expect(await leases.acquire('upstream-reading', 1)).toBe(false);
});

test('jobs of an instance that died before the clock went back are released, and those of the others are not', async () => {
  await instances.heartbeat('dead');
  await instances.heartbeat('alive');
  await sql.query(`SELECT enqueue_job('submit-task', '{}')`);
  await sql.query(
    `UPDATE graphile_worker._private_jobs SET locked_by = 'dead', locked_at = now() + ${STEP}, attempts = 1`,
  );
  await sql.query(`UPDATE instances SET last_heartbeat_at = last_heartbeat_at + ${STEP}`);

  // An instance that is alive has not yet sent a heartbeat by the new clock when the other one looks for dead ones.
  await instances.heartbeat('other');
  expect(await instances.releaseJobsOfDeadInstances(DEAD_AFTER_MS)).toEqual([]);

  const released = await waitFor('the dead instance to be found', async () => {
    await instances.heartbeat('alive');
    await instances.heartbeat('other');
    const dead = await instances.releaseJobsOfDeadInstances(DEAD_AFTER_MS);
    return dead.length > 0 && dead;
  });
  expect(released).toEqual(['dead']);
  expect(await readRow('SELECT locked_by FROM graphile_worker.jobs')).toEqual({ locked_by: null });
});

test('a job that an unregistered queue locked before the clock went back is released', async () => {
  await instances.heartbeat('alive');
  await sql.query(`SELECT enqueue_job('submit-task', '{}')`);
  await sql.query(
    `UPDATE graphile_worker._private_jobs SET locked_by = 'unknown', locked_at = now() - interval '1 minute' + ${STEP}`,
  );
  await sql.query(`UPDATE instances SET last_heartbeat_at = last_heartbeat_at + ${STEP}`);
  expect(await instances.heartbeat('alive')).toBeGreaterThan(590_000);
  expect(await instances.releaseJobsOfDeadInstances(DEAD_AFTER_MS)).toEqual(['unknown']);
});

test('what was due or nearly due before the clock went back is due after it, and what was not is not', async () => {
  const workspaceId = newId();
  const taskIds = { waiting: newId(), running: newId(), ended: newId() };
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'w')", [workspaceId]);
  const columns = 'id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at';
  const values = `$2, 'GENERATE', 'p', 'flux-dev', 1, '', now() + interval '1 hour'`;
  await sql.query(
    `INSERT INTO tasks (${columns}, status, not_before)
     VALUES ($1, ${values}, 'QUEUED', now() + interval '8 seconds' + ${STEP})`,
    [taskIds.waiting, workspaceId],
  );
  await sql.query(
    `INSERT INTO tasks (${columns}, status, upstream_task_id, submitted_at)
     VALUES ($1, ${values}, 'RUNNING', 'u', now() - interval '1 minute' + ${STEP})`,
    [taskIds.running, workspaceId],
  );
  await sql.query(
    `INSERT INTO tasks (${columns}, status, upstream_task_id, submitted_at, finished_at, checked_at)
     VALUES ($1, ${values}, 'EXPIRED', 'v', now() - interval '30 minutes', now() - interval '30 minutes', now() + ${STEP})`,
    [taskIds.ended, workspaceId],
  );
  await sql.query(
    `INSERT INTO images (id, workspace_id, task_id, index, upstream_url, ingest_at)
     VALUES ($1, $2, $3, 0, 'https://example.com', now() + interval '2 seconds' + ${STEP})`,
    [newId(), workspaceId, taskIds.running],
  );
  await sql.query(
    `INSERT INTO blobs (sha256, check_at, being_removed) VALUES ('a', now() + interval '2 seconds' + ${STEP}, true)`,
  );
  await sql.query(
    `INSERT INTO rate_limit_windows (key, ends_at, total_granted, last_granted)
     VALUES ('k', now() + interval '2 seconds' + ${STEP}, 1, 1)`,
  );
  await sql.query(
    `INSERT INTO webhook_deliveries (id, workspace_id, task_id, kind, endpoint, status, next_attempt_at)
     VALUES ($1, $2, $3, 'RESULT', 'https://example.com', 'PENDING', now() - interval '1 second' + ${STEP})`,
    [newId(), workspaceId, taskIds.running],
  );
  await sql.query(
    `SELECT enqueue_job('submit-task', '{"due":true}'), enqueue_job('submit-task', '{}', 3600000)`,
  );
  await sql.query(`UPDATE graphile_worker._private_jobs SET run_at = run_at - interval '1 second' + ${STEP}`);
  await sql.query(
    `UPDATE submission_pace SET kind = 'RATE', rate = 1, failure = '{}',
       changed_at = now() - interval '1 second' + ${STEP}, paused_until = now() + interval '2 seconds' + ${STEP}`,
  );
  await sql.query(`UPDATE scheduler_head SET next_submission_at = now() + interval '2 seconds' + ${STEP}`);
  await sql.query(
    `INSERT INTO connection_leases (id, expires_at) VALUES ($1, now() + interval '2 seconds' + ${STEP})`,
    [newId()],
  );
  await sql.query(
    `INSERT INTO leases (name, expires_at) VALUES ('l', now() + interval '2 seconds' + ${STEP})`,
  );
  await sql.query(`INSERT INTO instances (id, last_heartbeat_at) VALUES ('before', now() + ${STEP})`);

  // Several instances notice it at once.
  const steps = await Promise.all(['a', 'b', 'c'].map((id) => instances.heartbeat(id)));
  expect(steps.filter((stepMs) => stepMs > 0)).toHaveLength(1);

  /** Seconds from now, at most. Each is later than now by less than 10 s, or has passed. */
  const waits = await readRow<Record<string, number>>(`
    SELECT (SELECT extract(epoch FROM not_before - now())::float FROM tasks WHERE status = 'QUEUED') AS "retry",
           (SELECT extract(epoch FROM checked_at - now())::float FROM tasks WHERE status = 'RUNNING') AS "check",
           (SELECT extract(epoch FROM checked_at - now())::float FROM tasks WHERE status = 'EXPIRED') AS "checkAfterEnd",
           (SELECT extract(epoch FROM ingest_at - now())::float FROM images) AS "ingest",
           (SELECT extract(epoch FROM check_at - now())::float FROM blobs) AS "blob",
           (SELECT extract(epoch FROM ends_at - now())::float FROM rate_limit_windows) AS "rateLimit",
           (SELECT extract(epoch FROM next_attempt_at - now())::float FROM webhook_deliveries) AS "webhook",
           (SELECT min(extract(epoch FROM run_at - now()))::float FROM graphile_worker.jobs) AS "job",
           (SELECT max(extract(epoch FROM run_at - now()))::float FROM graphile_worker.jobs) AS "laterJob",
           (SELECT extract(epoch FROM changed_at - now())::float FROM submission_pace) AS "change",
           (SELECT extract(epoch FROM paused_until - now())::float FROM submission_pace) AS "pause",
           (SELECT extract(epoch FROM next_submission_at - now())::float FROM scheduler_head) AS "submission",
           (SELECT extract(epoch FROM expires_at - now())::float FROM connection_leases) AS "connections",
           (SELECT extract(epoch FROM expires_at - now())::float FROM leases) AS "lease"`);
  const { retry = 0, laterJob = 0, ...others } = waits ?? {};
  expect(Object.entries(others).filter(([, seconds]) => seconds > 3)).toEqual([]);
  expect(Object.keys(others)).toHaveLength(12);
  expect([retry > 0, retry < 10]).toEqual([true, true]);
  expect([laterJob > 3_580, laterJob < 3_610]).toEqual([true, true]);
});

/** The columns of times that move_times_back leaves as they are, and why. A new column belongs here or there. */
const UNMOVED: Record<string, readonly string[]> = {
  'callers see it, and nothing waits for it': [
    ...['workspaces.created_at', 'api_keys.created_at', 'api_keys.revoked_at', 'api_keys.last_used_at'],
    'tasks.created_at',
    ...['images.created_at', 'images.stored_at', 'images.lost_at', 'images.deleted_at'],
    ...['uploads.created_at', 'uploads.used_at', 'callbacks.received_at', 'webhook_deliveries.created_at'],
    ...['webhook_attempts.at', 'webhook_attempts.next_attempt_at', 'task_events.at', 'audit_log.at'],
    'ledger_entries.at',
  ],
  'callers see it, and a task that ended incomplete waits for it to be read again, but no longer than the step':
    [...['tasks.submitted_at', 'tasks.finished_at']],
  'callers were told when it ends': [
    ...['workspaces.webhook_previous_secret_expires_at', 'api_keys.expires_at', 'tasks.deadline_at'],
    'uploads.expires_at',
  ],
  'it tells two starts of PostgreSQL apart': ['sealing_progress.server_started_at'],
  'it is a record for operators': [
    ...['instances.started_at', '_private_jobs.created_at', '_private_jobs.updated_at'],
    ...[
      '_prisma_migrations.finished_at',
      '_prisma_migrations.rolled_back_at',
      '_prisma_migrations.started_at',
    ],
    'migrations.ts',
  ],
  'Darkroom does not use this part of the queue': [
    ...['_private_job_queues.locked_at', '_private_known_crontabs.known_since'],
    '_private_known_crontabs.last_execution',
  ],
};

test('every column with a time is either moved back or left as it is for a reason', async () => {
  const { rows: columns } = await sql.query<{ name: string }>(
    `SELECT c.table_name || '.' || c.column_name AS name FROM information_schema.columns c
     JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE t.table_type = 'BASE TABLE' AND c.table_schema IN ('public', 'graphile_worker')
       AND c.data_type LIKE 'timestamp%'`,
  );
  const source = await readRow<{ text: string }>(
    `SELECT prosrc AS text FROM pg_proc WHERE proname = 'move_times_back'`,
  );
  const moved = [...(source?.text ?? '').matchAll(/UPDATE (?:\w+\.)?(\w+)\s+SET (.+?)\s+WHERE/gs)].flatMap(
    ([, table = '', changes = '']) =>
      [...changes.matchAll(/(?:^|, )(\w+) = /g)].map(([, column = '']) => `${table}.${column}`),
  );
  const decided = [...new Set(moved), ...Object.values(UNMOVED).flat()];
  expect(decided.sort()).toEqual(columns.map(({ name }) => name).sort());
});
