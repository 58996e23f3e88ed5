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
  const taskIds = { waiting: newId(), running: newId() };
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
  expect(Object.keys(others)).toHaveLength(8);
  expect([retry > 0, retry < 10]).toEqual([true, true]);
  expect([laterJob > 3_580, laterJob < 3_610]).toEqual([true, true]);
});
