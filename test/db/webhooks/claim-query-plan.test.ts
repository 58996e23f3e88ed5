import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Database } from '../../../src/db/postgres/database.js';
import { type Statement } from '../../../src/db/postgres/statement.js';
import { WebhookRepository } from '../../../src/db/webhooks/webhook-repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { addTasksWithDueWebhooks } from '../../support/webhooks/received-webhooks.js';

const DUE_COUNT = 100_000;
const ENDPOINT_COUNT = 1_000;

const workspaceId = newId();
let database: TestDatabase;
let sql: pg.Client;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'plans')", [workspaceId]);
  const db = {
    rows: async <Row extends pg.QueryResultRow>(text: string, values: unknown[] = []) =>
      (await sql.query<Row>(text, values)).rows,
  };
  // Autovacuum would give the table other statistics, at any time.
  await sql.query('ALTER TABLE webhook_deliveries SET (autovacuum_enabled = false)');
  await addTasksWithDueWebhooks(db, 'http://one.example/', DUE_COUNT);
}, 120_000);
afterAll(async () => {
  await sql.end();
  await database.drop();
});

interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  'Shared Hit Blocks': number;
  'Shared Read Blocks': number;
  Plans?: Plan[];
}
/** The tables that a claim scans, and the pages that it reads, with the generic plan of a prepared statement. */
async function claimPlan(capacity: Record<string, number>, limit: number) {
  let claim = { text: '', parameterNames: [] as readonly string[] };
  const db = { query: (statement: Statement<object, object>) => Promise.resolve(((claim = statement), [])) };
  await new WebhookRepository(db as unknown as Database).claim({
    endpoints: [],
    attemptsByWorkspace: {},
    limit: 1,
    leaseMs: 1,
  });
  const endpoints = Object.entries(capacity).map((entry) => {
    return { workspaceId, endpoint: entry[0], capacity: entry[1] };
  });
  const parameters: Record<string, { type: string; sql: string }> = {
    endpoints: { type: 'jsonb', sql: `'${JSON.stringify(endpoints)}'` },
    attemptsByWorkspace: { type: 'jsonb', sql: `'{}'` },
    limit: { type: 'int', sql: `${limit}` },
    leaseMs: { type: 'int', sql: '20000' },
  };
  const inOrder = claim.parameterNames.map((name) => parameters[name]);
  const types = inOrder.map((parameter) => parameter?.type).join();
  const values = inOrder.map((parameter) => parameter?.sql).join();
  await sql.query('DEALLOCATE ALL');
  await sql.query('SET plan_cache_mode = force_generic_plan');
  await sql.query(`PREPARE claim (${types}) AS ${claim.text}`);
  await sql.query('BEGIN');
  const { rows } = await sql.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
    `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE claim (${values})`,
  );
  await sql.query('ROLLBACK');
  const plan = rows[0]?.['QUERY PLAN'][0].Plan;
  if (!plan) throw new Error('There is no plan.');
  return { scanned: [...scans(plan)], pages: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'] };
}
/** The tables with a sequential scan. */
function* scans(plan: Plan): Generator<string> {
  if (plan['Node Type'] === 'Seq Scan') yield plan['Relation Name'] ?? '';
  for (const child of plan.Plans ?? []) yield* scans(child);
}

/** The plans of a claim with the statistics of an empty table, and with those of this one. */
async function bothPlans(capacity: Record<string, number>, limit: number) {
  await sql.query('VACUUM (INDEX_CLEANUP ON) webhook_deliveries');
  const before = await claimPlan(capacity, limit);
  await sql.query('ANALYZE');
  return [before, await claimPlan(capacity, limit)];
}
function expectFewPages(plans: Awaited<ReturnType<typeof bothPlans>>, maxPages: number): void {
  for (const plan of plans) {
    // A scan of `workspaces` is fine: it has few rows on one page.
    expect(plan.scanned.filter((table) => table !== 'workspaces')).toEqual([]);
    expect(plan.pages).toBeLessThan(maxPages);
  }
}

const CASES: [what: string, endpoints: number, capacity: number, limit: number, maxPages: number][] = [
  // A few pages for each claimed row.
  ['one endpoint with a capacity of eight', 1, 8, 512, 5_000],
  // A few pages for each endpoint and for each row.
  ['a thousand endpoints and a limit of one', ENDPOINT_COUNT, 8, 1, 20_000],
];
test.each(CASES)(
  'A claim among 100,000 due deliveries with %s reads only a few pages, with and without statistics',
  async (_what, endpoints, capacity, limit, maxPages) => {
    await sql.query("UPDATE webhook_deliveries SET endpoint = 'http://r' || (seq % $1) || '.example'", [
      endpoints,
    ]);
    const names = Array.from({ length: endpoints }, (_, index) => [`http://r${index}.example`, capacity]);
    expectFewPages(await bothPlans(Object.fromEntries(names) as Record<string, number>, limit), maxPages);
  },
  60_000,
);

test.each([
  ['are due', 'now()'],
  ['are not due', `now() + interval '1 hour'`],
])(
  'A claim among 100,000 deliveries that %s, each of another endpoint, reads only a few pages',
  async (_what, time) => {
    await sql.query(
      `UPDATE webhook_deliveries SET endpoint = 'http://r.example:' || seq, next_attempt_at = ${time}`,
    );
    expectFewPages(await bothPlans({}, 512), 10_000);
  },
  60_000,
);

test('A claim among 100,000 results that wait for the first result of their task reads only a few pages', async () => {
  await sql.query(
    `UPDATE webhook_deliveries SET endpoint = 'http://r.example', next_attempt_at = now() + interval '1 hour'`,
  );
  await sql.query(`INSERT INTO webhook_deliveries (workspace_id, task_id, kind, endpoint)
                   SELECT workspace_id, task_id, 'LATE_RESULT', endpoint FROM webhook_deliveries`);
  expectFewPages(await bothPlans({ 'http://r.example': 8 }, 512), 5_000);
}, 60_000);
