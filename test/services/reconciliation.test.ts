import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { newId } from '../../src/core/ids.js';
import { Database } from '../../src/db/database.js';
import { Leases } from '../../src/db/leases.js';
import { Tasks } from '../../src/db/tasks.js';
import { type EventLog } from '../../src/events/log.js';
import { type AceData } from '../../src/providers/acedata.js';
import { Reconciliation } from '../../src/services/reconciliation.js';
import { Results } from '../../src/services/results.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

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

/** Only what ends tasks whose deadline has passed; the upstream is not asked. */
function reconciliation(tasks: Tasks): Reconciliation {
  const events = { sealSoon: () => undefined } as EventLog;
  return new Reconciliation(
    tasks,
    new Leases(db),
    new Results(tasks, events),
    events,
    {} as AceData,
    log,
    10_000,
    1_000,
  );
}
