import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { type LeaseRepository } from '../../../src/db/postgres/lease-repository.js';
import { statement } from '../../../src/db/postgres/statement.js';
import { TaskRepository } from '../../../src/db/tasks/task-repository.js';
import { type EventLog } from '../../../src/event-log/event-log.js';
import { type AceDataClient } from '../../../src/upstreams/acedata-client.js';
import { type UpstreamResult } from '../../../src/upstreams/acedata-results.js';
import { Reconciliation } from '../../../src/services/tasks/reconciliation.js';
import { Results } from '../../../src/services/tasks/results.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';

const log = pino({ level: 'silent' });
let database: TestDatabase;
let db: Database;
beforeAll(async () => {
  database = await createTestDatabase();
  db = new Database({ url: database.url, maxConnections: 2, log });
});
afterAll(async () => {
  await db.close();
  await database.drop();
});

test('does not expire a task as unconfirmed when its response arrives in the meantime', async () => {
  const tasks = new TaskRepository(db);
  const id = await insertOverdueTask(tasks);

  // The response arrives after the overdue tasks were read and before this one is expired.
  const withResponse = new TaskRepository(db);
  withResponse.findOverdue = async (limit) => {
    const overdue = await tasks.findOverdue(limit);
    await tasks.transitionTo(id, 'RUNNING');
    return overdue;
  };
  await createReconciliation(withResponse).expireOverdue();
  expect(await tasks.find(id)).toMatchObject({ status: 'RUNNING' });

  await createReconciliation(tasks).expireOverdue();
  expect(await tasks.find(id)).toMatchObject({ status: 'EXPIRED', failure: { code: 'DEADLINE_EXCEEDED' } });
});

test('polls an expired task for late images, at growing intervals', async () => {
  const tasks = new TaskRepository(db);
  const ages = { tooRecent: '5 seconds', due: '20 seconds', tooOld: '61 minutes' };
  const ids = { tooRecent: '', due: '', tooOld: '' };
  for (const [name, time] of Object.entries(ages) as [keyof typeof ages, string][]) {
    ids[name] = await insertExpiredTask(time);
  }
  const polledIds: string[][] = [];
  const poller = createReconciliation(tasks, (upstreamIds) => {
    polledIds.push([...upstreamIds]);
    const image = {
      upstreamUrl: 'http://127.0.0.1:1/late.png',
      seed: null,
      inferenceSeconds: null,
      upstreamMetadata: { seed: undefined, timings: undefined },
    };
    const result: UpstreamResult =
      polledIds.length === 1
        ? { kind: 'running', upstreamTaskId: null, upstreamTraceId: null }
        : { kind: 'succeeded', images: [image], upstreamTaskId: null, upstreamTraceId: null };
    return Promise.resolve(new Map(upstreamIds.map((id) => [id, result])));
  });
  await poller.reconcile();
  expect(polledIds).toEqual([[ids.due]]);
  await poller.reconcile();
  expect(polledIds).toHaveLength(1);

  const makeDue = statement<{ id: string }>(
    'checked-long-ago',
    `UPDATE tasks SET checked_at = now() - interval '16 seconds' WHERE id = :id`,
  );
  await db.query(makeDue, { id: ids.due });
  await poller.reconcile();
  expect(polledIds).toEqual([[ids.due], [ids.due]]);
  expect(await tasks.find(ids.due)).toMatchObject({ status: 'EXPIRED' });
  const lateImages = statement<{ id: string }>('late-images', 'SELECT late FROM images WHERE task_id = :id');
  expect(await db.query(lateImages, { id: ids.due })).toEqual([{ late: true }]);

  await db.query(makeDue, { id: ids.due });
  await poller.reconcile();
  expect(polledIds).toHaveLength(2);
});

/** Inserts a task that expired `ago`. Its upstream ID equals its ID. */
async function insertExpiredTask(ago: string): Promise<string> {
  const id = newId();
  const insert = statement<{ id: string; ago: string; upstreamTaskId: string }>(
    'expired-task',
    `
    INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at,
                       finished_at, upstream_task_id)
    VALUES (:id, :id, 'GENERATE', 'EXPIRED', 'a cat', 'flux-dev', 1, '', now() - :ago::interval,
            now() - :ago::interval, :upstreamTaskId)`,
  );
  await db.query(insert, { id, ago, upstreamTaskId: id });
  return id;
}

async function insertOverdueTask(tasks: TaskRepository): Promise<string> {
  const id = newId();
  const insert = statement<{ id: string }>(
    'overdue-task',
    `
    INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at)
    VALUES (:id, :id, 'GENERATE', 'SUBMITTING', 'a cat', 'flux-dev', 1, '', now() - interval '1 second')`,
  );
  await db.query(insert, { id });
  expect(await tasks.find(id)).toMatchObject({ status: 'SUBMITTING' });
  return id;
}

/** Without `readTasks`, the upstream must not be polled. */
function createReconciliation(tasks: TaskRepository, readTasks?: AceDataClient['readTasks']): Reconciliation {
  const eventLog = { requestSeal: () => undefined } as EventLog;
  const leases = { acquire: () => Promise.resolve(true) } as unknown as LeaseRepository;
  const upstream = { readTasks } as AceDataClient;
  return new Reconciliation({
    tasks,
    leases,
    results: new Results({ tasks, eventLog, log }),
    eventLog,
    upstream,
    log,
    pollAfterMs: 10_000,
    pollIntervalMs: 1_000,
  });
}
