import { afterAll, beforeAll, expect, test } from '@jest/globals';
import pg from 'pg';
import { newId } from '../../../src/core/primitives/ids.js';
import { type Database, type Statement } from '../../../src/db/postgres/database.js';
import { OutgoingCallbacks } from '../../../src/db/webhooks/webhook-repository.js';
import { createTestDatabase, type TestDatabase } from '../../support/setup/test-database.js';
import { addEnded } from '../../support/webhooks/received-webhooks.js';

const WAITING = 100_000;
const RECEIVERS = 1_000;

let database: TestDatabase;
let sql: pg.Client;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = new pg.Client({ connectionString: database.url });
  await sql.connect();
  await sql.query("INSERT INTO workspaces (id, name) VALUES ($1, 'plans')", [newId()]);
  const db = {
    rows: async <Row extends pg.QueryResultRow>(text: string, values: unknown[] = []) =>
      (await sql.query<Row>(text, values)).rows,
  };
  await addEnded(db, 'http://one.example/', WAITING);
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
/** How a claim is made, and of how many pages, when it knows nothing of its arguments, as in a prepared statement. */
async function claimPlan(room: Record<string, number>, limit: number) {
  let claim = '';
  const db = { run: (statement: Statement) => Promise.resolve(((claim = statement.text), [])) };
  await new OutgoingCallbacks(db as unknown as Database).claim({}, 1, 1);
  await sql.query('DEALLOCATE ALL');
  await sql.query('SET plan_cache_mode = force_generic_plan');
  await sql.query(`PREPARE claim (jsonb, int, int) AS ${claim}`);
  await sql.query('BEGIN');
  const { rows } = await sql.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>(
    `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE claim ('${JSON.stringify(room)}', ${limit}, 20000)`,
  );
  await sql.query('ROLLBACK');
  const plan = rows[0]?.['QUERY PLAN'][0].Plan;
  if (!plan) throw new Error('There is no plan.');
  return { scanned: [...scans(plan)], pages: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'] };
}
/** The tables that are read from their beginning to their end. */
function* scans(plan: Plan): Generator<string> {
  if (plan['Node Type'] === 'Seq Scan') yield plan['Relation Name'] ?? '';
  for (const below of plan.Plans ?? []) yield* scans(below);
}

const PLACES: [what: string, receivers: number, room: number, limit: number, pages: number][] = [
  // A handful for each row that is taken.
  ['one receiver with room for eight', 1, 8, 512, 1_000],
  // A handful for each receiver, and for each row.
  ['a thousand receivers, and the last place', RECEIVERS, 8, 1, 20_000],
];
test.each(PLACES)(
  'A claim among 100,000 that wait for %s reads what it needs, with and without statistics',
  async (_what, receivers, room, limit, pages) => {
    await sql.query("UPDATE outgoing_callbacks SET receiver = 'http://r' || (seq % $1) || '.example'", [
      receivers,
    ]);
    await sql.query('VACUUM outgoing_callbacks');
    const names = Array.from({ length: receivers }, (_, index) => [`http://r${index}.example`, room]);
    const known = Object.fromEntries(names) as Record<string, number>;
    const before = await claimPlan(known, limit);
    await sql.query('ANALYZE');
    const after = await claimPlan(known, limit);
    for (const plan of [before, after]) {
      // There is one workspace, on one page.
      expect(plan.scanned.filter((table) => table !== 'workspaces')).toEqual([]);
      expect(plan.pages).toBeLessThan(pages);
    }
  },
  60_000,
);
