import { createHash, randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { PrismaPg } from '@prisma/adapter-pg';
import { pino } from 'pino';
import { workspaceVisibility } from '../src/core/access/visibility.js';
import { PrismaClient } from '../src/db/generated/client.js';
import { Database, type DatabaseOptions } from '../src/db/postgres/database.js';
import { fillHistory } from './history-fill.js';
import { prismaCases, type PrismaCase } from './prisma-cases.js';
import { type Bench, median, printHeader, printTable, roundTo } from './support/bench.js';
import { migrateFloorDatabase } from './support/floor.js';
import { createScratch, withClient } from './support/postgres.js';

const DEFAULT_SECONDS = 60;
const TASKS = 50_000;
const QUEUED_TASKS = 2_000;
const KEYS = 200;
const CONNECTIONS = 8;
const ROUNDS = 5;
const WARM_UP_SECONDS = 0.5;

/** Prisma Client with prepared statements, which it does not use by default. */
class PreparedPrismaDatabase extends Database {
  constructor(options: DatabaseOptions) {
    super(options);
    const statementNameGenerator = ({ sql }: { sql: string }) => createHash('md5').update(sql).digest('hex');
    const adapter = new PrismaPg(this.pool, { statementNameGenerator });
    Object.assign(this, { prisma: new PrismaClient({ adapter }) });
  }
}

type Side = 'sql' | 'prisma' | 'prepared';

/**
 * What would the hot statements cost through Prisma Client? Runs each one and its best equivalent in Prisma in turns, in one
 * database with 50,000 tasks. Prisma runs with and without prepared statements, and the ratio compares with the faster one.
 */
export const prisma: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader('Calls per second: our statement, and its equivalent in Prisma Client');
  const scratch = await createScratch(release);
  const url = await scratch.database('prisma');
  const workspaceId = await migrateFloorDatabase(url);
  await fillHistory(url, TASKS);
  const keyHashes = Array.from({ length: KEYS }, () => randomBytes(32));
  const ids = await prepareRows(url, workspaceId, keyHashes);
  const options = { url, maxConnections: CONNECTIONS, log: pino({ level: 'silent' }) };
  const [database, prepared] = [new Database(options), new PreparedPrismaDatabase(options)];
  for (const db of [database, prepared]) release(() => db.close());
  if (!(await database.hasRowSecurity()))
    throw new Error('Row-level security is off. See the log for the reason.');

  const cases = prismaCases({ visibility: workspaceVisibility(workspaceId), keyHashes, ...ids });
  const table = [['calls per second', 'SQL', 'Prisma', 'Prisma, prepared', 'ratio']];
  const ratios: Record<string, number> = {};
  const secondsEach = seconds / Object.keys(cases).length / ROUNDS / 3;
  for (const [name, { title, sql, prisma }] of Object.entries<PrismaCase>(cases)) {
    const calls: Record<Side, () => Promise<unknown[]>> = {
      sql: () => sql(database),
      prisma: () => prisma(database),
      prepared: () => prisma(prepared),
    };
    const rounds = await runInTurns(calls, secondsEach);
    const ratio = median(rounds.map((round) => round.sql / Math.max(round.prisma, round.prepared)));
    const rates = (['sql', 'prisma', 'prepared'] as const).map((side) =>
      median(rounds.map((round) => round[side])).toFixed(0),
    );
    table.push([title, ...rates, ratio.toFixed(1)]);
    ratios[name] = roundTo(ratio, 2);
  }
  printTable(table);
  console.log('Each figure is a median over the rounds. So is the ratio, which is taken within each round.');
  console.log('Goal: a statement whose ratio is below 1.5 goes through Prisma Client.');
  console.log(JSON.stringify({ bench: 'prisma', ...ratios }));
};

/** Inserts API keys and the tasks for transitions. Returns the IDs of some finished tasks, and of those. */
async function prepareRows(url: string, workspaceId: string, keyHashes: readonly Buffer[]) {
  return withClient(url, async (client) => {
    await client.query(
      `insert into api_keys (id, workspace_id, name, prefix, hash, scopes)
       select gen_random_uuid(), $1, 'bench', 'dk_', hash, '{}' from unnest($2::bytea[]) as hash`,
      [workspaceId, keyHashes],
    );
    const { rows: finished } = await client.query<{ id: string }>(
      `select id from tasks where status = 'SUCCEEDED' order by random() limit 1000`,
    );
    const { rows: queued } = await client.query<{ id: string }>(
      `insert into tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at)
       select gen_random_uuid(), $1, 'GENERATE', 'a prompt', 'flux-dev', 1, '', now() + interval '1 day'
       from generate_series(1, $2) returning id`,
      [workspaceId, QUEUED_TASKS],
    );
    await client.query('vacuum analyze tasks');
    return { taskIds: finished.map(({ id }) => id), queuedIds: queued.map(({ id }) => id) };
  });
}

/** Rates of all sides, round by round. The side that goes first changes from round to round. */
async function runInTurns(calls: Record<Side, () => Promise<unknown[]>>, secondsEach: number) {
  const sides: Side[] = ['sql', 'prisma', 'prepared'];
  const counts: number[] = [];
  for (const side of sides) counts.push((await calls[side]()).filter((result) => result !== null).length);
  if (counts.some((count) => count === 0 || count !== counts[0]))
    throw new Error(`The sides returned different numbers of results: ${counts.join(', ')}.`);
  for (const side of sides) await rateOf(calls[side], WARM_UP_SECONDS);
  const rounds: Record<Side, number>[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const rates = { sql: 0, prisma: 0, prepared: 0 };
    const first = round % sides.length;
    for (const side of [...sides.slice(first), ...sides.slice(0, first)])
      rates[side] = await rateOf(calls[side], secondsEach);
    rounds.push(rates);
  }
  return rounds;
}

async function rateOf(call: () => Promise<unknown>, seconds: number): Promise<number> {
  const start = performance.now();
  const end = start + seconds * 1000;
  let done = 0;
  const lane = async () => {
    for (; performance.now() < end; done += 1) await call();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  return done / ((performance.now() - start) / 1000);
}
