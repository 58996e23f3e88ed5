import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { newId } from '../../../src/core/primitives/ids.js';
import { Database } from '../../../src/db/postgres/database.js';
import { type Leases } from '../../../src/db/postgres/lease-repository.js';
import { Tasks } from '../../../src/db/tasks/task-repository.js';
import { type EventLog } from '../../../src/event-log/event-log.js';
import { type AceData, type UpstreamResult } from '../../../src/upstreams/acedata.js';
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

test('does not tell that a request may not have arrived of a task whose reply is read meanwhile', async () => {
  const tasks = new Tasks(db);
  const id = await submittingAndOverdue(tasks);

  // The reply comes between the look for overdue tasks and the end of this one.
  const withReply = new Tasks(db);
  withReply.findOverdue = async (limit) => {
    const overdue = await tasks.findOverdue(limit);
    await tasks.moveTo(id, 'RUNNING');
    return overdue;
  };
  await reconciliation(withReply).expire();
  expect(await tasks.find(id)).toMatchObject({ status: 'RUNNING' });

  await reconciliation(tasks).expire();
  expect(await tasks.find(id)).toMatchObject({ status: 'EXPIRED', failure: { code: 'DEADLINE_EXCEEDED' } });
});

test('finds the pictures of a task that was given up, and asks ever more seldom', async () => {
  const tasks = new Tasks(db);
  const ago = { short: '5 seconds', long: '20 seconds', tooLong: '61 minutes' };
  const ids = { short: '', long: '', tooLong: '' };
  for (const [name, time] of Object.entries(ago) as [keyof typeof ago, string][])
    ids[name] = await givenUp(time);
  const asked: string[][] = [];
  const reading = reconciliation(tasks, (upstreamIds) => {
    asked.push([...upstreamIds]);
    const picture = { url: 'http://127.0.0.1:1/late.png', seed: null, inferenceSeconds: null, reported: {} };
    const result: UpstreamResult =
      asked.length === 1
        ? { kind: 'running', upstreamTaskId: null, upstreamTraceId: null }
        : { kind: 'succeeded', pictures: [picture], upstreamTaskId: null, upstreamTraceId: null };
    return Promise.resolve(new Map(upstreamIds.map((id) => [id, result])));
  });
  await reading.reconcile();
  expect(asked).toEqual([[ids.long]]);
  await reading.reconcile();
  expect(asked).toHaveLength(1);

  const later = `UPDATE tasks SET checked_at = now() - interval '16 seconds' WHERE id = $1`;
  await db.run({ name: 'asked-long-ago', text: later }, [ids.long]);
  await reading.reconcile();
  expect(asked).toEqual([[ids.long], [ids.long]]);
  expect(await tasks.find(ids.long)).toMatchObject({ status: 'EXPIRED' });
  const kept = { name: 'late-images', text: 'SELECT late FROM images WHERE task_id = $1' };
  expect(await db.run(kept, [ids.long])).toEqual([{ late: true }]);

  await db.run({ name: 'asked-long-ago', text: later }, [ids.long]);
  await reading.reconcile();
  expect(asked).toHaveLength(2);
});

/** An expired task that the upstream has taken under the same id. */
async function givenUp(ago: string): Promise<string> {
  const id = newId();
  await db.run(
    {
      name: 'given-up-task',
      text: `INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at,
                                finished_at, upstream_task_id)
             VALUES ($1, $1, 'GENERATE', 'EXPIRED', 'a cat', 'flux-dev', 1, '', now() - $2::interval,
                     now() - $2::interval, $3)`,
    },
    [id, ago, id],
  );
  return id;
}

async function submittingAndOverdue(tasks: Tasks): Promise<string> {
  const id = newId();
  await db.run(
    {
      name: 'overdue-task',
      text: `INSERT INTO tasks (id, workspace_id, kind, status, prompt, model, requested_count, input_hash, deadline_at)
             VALUES ($1, $1, 'GENERATE', 'SUBMITTING', 'a cat', 'flux-dev', 1, '', now() - interval '1 second')`,
    },
    [id],
  );
  expect(await tasks.find(id)).toMatchObject({ status: 'SUBMITTING' });
  return id;
}

/** Without the upstream it is not asked. */
function reconciliation(tasks: Tasks, readTasks?: AceData['readTasks']): Reconciliation {
  const events = { sealSoon: () => undefined } as EventLog;
  const leases = { take: () => Promise.resolve(true) } as unknown as Leases;
  const upstream = { readTasks } as AceData;
  return new Reconciliation(tasks, leases, new Results(tasks, events), events, upstream, log, 10_000, 1_000);
}
