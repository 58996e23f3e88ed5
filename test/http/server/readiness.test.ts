import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { Health, type HealthDependencies } from '../../../src/services/operations/health.js';
import { TestApp } from '../../support/app/test-app.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { waitFor } from '../../support/wait-for.js';

interface Readiness {
  ready: boolean;
  components: Record<string, { ok: boolean; error?: string }>;
  sequences: { ok: boolean; error?: string };
}

let database: TestDatabase;
let sql: pg.Client;
let app: TestApp;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  await sql.query(
    `SELECT setval(pg_get_serial_sequence('graphile_worker._private_tasks', 'id'), 1200000000)`,
  );
  app = await TestApp.start({ databaseUrl: database.url });
});
afterAll(async () => {
  await app.stop();
  await sql.end();
  await database.drop();
});

async function readReadiness(): Promise<Readiness & { status: number }> {
  const { status, json } = await app.get('/readyz');
  return { ...(json as Readiness), status };
}

/** Of parts that are well, but for those that are given. */
function healthWith(parts: object): Health {
  return new Health({
    ping: () => Promise.resolve(),
    worker: null,
    eventLog: { stalledMs: {} },
    store: { assertWritable: () => Promise.resolve() },
    submissionPace: { find: () => Promise.resolve({ kind: null }) },
    upstreamGate: { state: {} },
    catalog: { findSequencesRunningOut: () => Promise.resolve([]) },
    spools: [],
    ...parts,
  } as unknown as HealthDependencies);
}

describe('/readyz', () => {
  test('lists every part that must make progress', async () => {
    const { status, components } = await readReadiness();
    expect(status).toBe(200);
    expect(Object.keys(components).sort()).toEqual(
      ['database', 'heartbeat', 'notifications', 'queue', 'reading', 'recurringJobs', 'sealing'].sort(),
    );
  });

  test('reports a sequence of which half is used, and stays ready', async () => {
    const { ready, sequences } = await waitFor('the sequences to be checked', async () => {
      const readiness = await readReadiness();
      return readiness.sequences.ok ? null : readiness;
    });
    expect(ready).toBe(true);
    expect(sequences).toMatchObject({
      ok: false,
      error: expect.stringMatching(/graphile_worker\.\w+ is 55 % used/),
    });
  });

  test('answers while background work has no connection left', async () => {
    let end: () => void = () => undefined;
    const hanging = new Promise<never[]>((resolve) => (end = () => resolve([])));
    const health = healthWith({ catalog: { findSequencesRunningOut: () => hanging } });
    expect(await health.readiness()).toMatchObject({ ready: true, sequences: { ok: true } });
    end();
  });

  test('answers after 5 s while the store hangs', async () => {
    jest.useFakeTimers();
    try {
      const health = healthWith({ store: { assertWritable: () => new Promise<void>(() => undefined) } });
      const readiness = health.readiness();
      await jest.advanceTimersByTimeAsync(5_000);
      const error =
        'The image store is unavailable: it did not respond within 5 s. Try again in a few seconds.';
      expect(await readiness).toMatchObject({ ready: true, store: { ok: false, error } });
    } finally {
      jest.useRealTimers();
    }
  });

  test('is unready while the queue makes no progress, although it exists and PostgreSQL responds', async () => {
    await sql.query('BEGIN; LOCK TABLE graphile_worker._private_jobs IN ACCESS EXCLUSIVE MODE');
    const stalled = await waitFor(
      'the queue to be reported',
      async () => {
        const readiness = await readReadiness();
        // The database counts as unavailable while all connections wait for the lock.
        const { queue, database } = readiness.components;
        return queue?.ok === false && database?.ok && readiness;
      },
      { timeoutMs: 60_000 },
    );
    expect(stalled).toMatchObject({ status: 503, ready: false });
    await sql.query('ROLLBACK');
    await waitFor('the instance to be ready again', async () => (await readReadiness()).ready, {
      timeoutMs: 60_000,
    });
  }, 150_000);
});
