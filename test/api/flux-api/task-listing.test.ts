import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { fluxClientFor, statusAndCode } from '../../support/flux-api/flux-servers.js';
import { TestApp } from '../../support/app/test-app.js';
import { addWorkspaceWithKey } from '../../support/access/workspaces.js';

/** `retrieve_batch` without IDs. flux-images.test.ts has what the hosted API does as well. */

let app: TestApp;
beforeAll(async () => {
  app = await TestApp.start();
});
afterAll(() => app.stop());

const REQUEST = { action: 'generate', prompt: 'listed [sandbox: delay=600s]', size: '256x256', async: true };
const list = (fields: object = {}, key = app.apiKey) =>
  fluxClientFor(app, key).tasks({ action: 'retrieve_batch', ...fields });

/** Copies a task as often as `count`, one second apart, from two days ago. */
async function copyTask(id: unknown, count: number): Promise<void> {
  const columns = await app.rows<{ name: string }>(
    `SELECT quote_ident(column_name) AS name FROM information_schema.columns
     WHERE table_name = 'tasks' AND column_name <> ALL($1)`,
    [['id', 'created_at', 'idempotency_key', 'submit_job_id', 'submission_id', 'upstream_task_id']],
  );
  const names = columns.map(({ name }) => name).join(', ');
  await app.rows(
    `INSERT INTO tasks (id, created_at, ${names})
     SELECT overlay(gen_random_uuid()::text PLACING
         substr(moment.hex, 1, 8) || '-' || substr(moment.hex, 9, 4) || '-7' FROM 1 FOR 15)::uuid, moment.at, ${names}
     FROM tasks, generate_series(1, $2::int) AS number,
       LATERAL (SELECT now() - interval '2 days' + number * interval '1 second' AS at) instant,
       LATERAL (SELECT instant.at, lpad(to_hex((extract(epoch FROM instant.at) * 1000)::bigint), 12, '0') AS hex) moment
     WHERE id = $1`,
    [id, count],
  );
}

test('shows the tasks that the caller may see, and no others', async () => {
  const foreignKey = await addWorkspaceWithKey(app);
  const { body: foreign } = await fluxClientFor(app, foreignKey).images(REQUEST);
  const { id } = await app.generate({ prompt: 'over GraphQL', size: '256x256' });
  const [own, theirs] = await Promise.all([list(), list({}, foreignKey)]);
  expect(own.body).toMatchObject({ items: [{ id }], count: 1 });
  expect(theirs.body).toMatchObject({ items: [{ id: foreign.task_id }], count: 1 });
});

test('counts up to 1,000 tasks and reaches them with the offset, and older ones with a time', async () => {
  const { body } = await fluxClientFor(app, await addWorkspaceWithKey(app)).images(REQUEST);
  const key = await addWorkspaceWithKey(app);
  const { body: own } = await fluxClientFor(app, key).images(REQUEST);
  await copyTask(own.task_id, 1_010);
  await copyTask(body.task_id, 10);
  const { body: first } = await list({ limit: 1 }, key);
  expect(first).toMatchObject({ items: [{ id: own.task_id }], count: 1_000 });
  const { body: last } = await list({ offset: 990, limit: 50 }, key);
  const items = last.items as { id: string; created_at: number }[];
  expect([items.length, last.count]).toEqual([10, 1_000]);
  const { body: older } = await list({ created_at_max: items.at(-1)?.created_at }, key);
  expect((older.items as unknown[])[0]).toEqual(items.at(-1));
  expect(older.count).toBe(12);
  expect(statusAndCode(await list({ offset: 1_001 }, key))).toEqual([400, 'bad_request']);
});
