import { performance } from 'node:perf_hooks';
import { pino } from 'pino';
import { workspaceVisibility } from '../src/core/access/visibility.js';
import { CALLER_ROLE } from '../src/db/postgres/row-level-security.js';
import { Database } from '../src/db/postgres/database.js';
import { type Reader } from '../src/core/limits/slow-read-slots.js';
import { type Statement } from '../src/db/postgres/statement.js';
import { ImageRepository } from '../src/db/images/image-repository.js';
import { type TaskFilter } from '../src/db/tasks/task-pages.js';
import { TaskRepository } from '../src/db/tasks/task-repository.js';
import { fillHistory, RARE_WORD } from './history-fill.js';
import { type Bench, median, printHeader, printTable, roundTo } from './support/bench.js';
import { migrateFloorDatabase } from './support/floor.js';
import { createScratch, withClient } from './support/postgres.js';

const DEFAULT_SECONDS = 60;
const TASKS = 200_000;
const CONNECTIONS = 8;
const ROUNDS = 6;
const WARM_UP_SECONDS = 0.5;
const GOAL = 0.9;

/** Runs the same statements without row-level security. */
class UnrestrictedDatabase extends Database {
  override queryAsCaller<Parameters extends object, Row extends object>(
    _reader: Reader,
    statement: Statement<Parameters, Row>,
    parameters: Parameters,
  ) {
    return this.query(statement, parameters);
  }
}
/** With row-level security, and with plans chosen by PostgreSQL as without it. */
class ReplannedDatabase extends Database {
  override queryAsCaller<Parameters extends object, Row extends object>(
    reader: Reader,
    statement: Statement<Parameters, Row>,
    parameters: Parameters,
  ) {
    return super.queryAsCaller(reader, { ...statement, planCacheMode: 'auto' }, parameters);
  }
}
/** With row-level security also for finding the IDs of a page. */
class FullyRestrictedDatabase extends Database {
  workspaceId = '';
  override query<Parameters extends object, Row extends object>(
    statement: Statement<Parameters, Row>,
    parameters: Parameters,
  ) {
    return this.queryAsCaller({ workspaceId: this.workspaceId }, statement, parameters);
  }
}

interface ReadCase {
  title: string;
  /** Concurrent closed loops. */
  lanes: number;
  restricted: Database;
  read: (db: Database) => Promise<{ length: number }>;
}

/**
 * What does row-level security cost callers? Runs the same reads with and without it, in one database with 200,000 tasks, four
 * fifths of which belong to the calling workspace. Without it they are run as the superuser of the embedded PostgreSQL, whom no
 * policy restricts.
 */
export const rls: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader(`Reads per second of ${TASKS} tasks: with row-level security, and without`);
  const scratch = await createScratch(release);
  const url = await scratch.database('rls');
  const workspaceId = await migrateFloorDatabase(url);
  await fillHistory(url, TASKS);
  const ids = await spreadTasks(url);
  const options = { url, maxConnections: CONNECTIONS, log: pino({ level: 'silent' }) };
  const [restricted, unrestricted] = [new Database(options), new UnrestrictedDatabase(options)];
  const [replanned, fullyRestricted] = [new ReplannedDatabase(options), new FullyRestrictedDatabase(options)];
  fullyRestricted.workspaceId = workspaceId;
  for (const db of [restricted, unrestricted, replanned, fullyRestricted]) release(() => db.close());
  if (!(await restricted.hasRowSecurity()))
    throw new Error('Row-level security is off. See the log for the reason.');

  const visibility = workspaceVisibility(workspaceId);
  let next = 0;
  const someIds = (count: number) =>
    Array.from({ length: count }, () => ids[(next += 1) % ids.length] as string);
  const find = (db: Database) => new TaskRepository(db).findMany(visibility, someIds(1));
  const page = (filter: TaskFilter) => (db: Database) =>
    new TaskRepository(db).page(visibility, filter, { before: null, limit: 21 });
  const unconfirmed = page({ statuses: ['UNCONFIRMED'] });
  const rare = page({ search: RARE_WORD });
  const imagesOf = (db: Database) => new ImageRepository(db).findByTasks(workspaceId, someIds(20));
  const cases = {
    find: { title: 'a task by its id', lanes: CONNECTIONS, restricted, read: find },
    findReplanned: { title: '- without generic plan', lanes: CONNECTIONS, restricted: replanned, read: find },
    images: { title: 'the images of 20 tasks', lanes: CONNECTIONS, restricted, read: imagesOf },
    first: { title: 'the first page of 20', lanes: 1, restricted, read: page({}) },
    filtered: { title: 'statuses: [UNCONFIRMED], 1 % of tasks', lanes: 1, restricted, read: unconfirmed },
    filteredThroughout: {
      title: '- also for its IDs',
      lanes: 1,
      restricted: fullyRestricted,
      read: unconfirmed,
    },
    rareWord: { title: `search: "${RARE_WORD}"`, lanes: 1, restricted, read: rare },
    rareWordThroughout: { title: '- also for its IDs', lanes: 1, restricted: fullyRestricted, read: rare },
  } satisfies Record<string, ReadCase>;

  const table = [['reads per second', 'with', 'without', 'ratio']];
  const ratios: Record<string, number> = {};
  const secondsPerRound = seconds / Object.keys(cases).length / ROUNDS / 2;
  for (const [name, kind] of Object.entries<ReadCase>(cases)) {
    const rates = await compare(kind, unrestricted, secondsPerRound);
    const ratio = median(rates.map(({ ours, floor }) => ours / floor));
    const perSecond = [median(rates.map(({ ours }) => ours)), median(rates.map(({ floor }) => floor))];
    table.push([kind.title, ...perSecond.map((rate) => rate.toFixed(0)), ratio.toFixed(2)]);
    ratios[name] = roundTo(ratio, 3);
  }
  printTable(table);
  console.log(
    `Goal: ratios of at least ${GOAL}, except for those with a dash, which show rejected alternatives.`,
  );
  console.log(JSON.stringify({ bench: 'rls', ...ratios }));
};

/** Moves a fifth of the tasks to four other workspaces. Returns the IDs of some remaining tasks. */
async function spreadTasks(url: string): Promise<string[]> {
  return withClient(url, async (client) => {
    await client.query(`
      UPDATE tasks SET workspace_id = md5((abs(hashtext(id::text)) / 5 % 4)::text)::uuid
      WHERE abs(hashtext(id::text)) % 5 = 0`);
    await client.query(`
      UPDATE searchable_prompts SET workspace_id = tasks.workspace_id FROM tasks
      WHERE tasks.id = searchable_prompts.task_id AND tasks.workspace_id <> searchable_prompts.workspace_id`);
    // The service does not need this. Only the rejected alternative reads the table as a caller.
    await client.query(`GRANT SELECT ON searchable_prompts TO ${CALLER_ROLE}`);
    await client.query('VACUUM (ANALYZE) tasks, searchable_prompts');
    const { rows } = await client.query<{ id: string }>(
      'SELECT id FROM tasks WHERE workspace_id = (SELECT id FROM workspaces) ORDER BY random() LIMIT 1000',
    );
    return rows.map(({ id }) => id);
  });
}

/** Rates of both sides, round by round. The side that goes first alternates. */
async function compare({ lanes, restricted, read }: ReadCase, unrestricted: Database, secondsEach: number) {
  const sides = { ours: restricted, floor: unrestricted };
  const rounds: { ours: number; floor: number }[] = [];
  const [ours, floor] = [await read(restricted), await read(unrestricted)];
  if (ours.length === 0 || floor.length === 0)
    throw new Error('A read returned no rows, so nothing was measured.');
  for (const db of [restricted, unrestricted]) await rateOf(() => read(db), lanes, WARM_UP_SECONDS);
  for (let round = 0; round < ROUNDS; round += 1) {
    const rates = { ours: 0, floor: 0 };
    const order = round % 2 === 0 ? (['ours', 'floor'] as const) : (['floor', 'ours'] as const);
    for (const side of order) rates[side] = await rateOf(() => read(sides[side]), lanes, secondsEach);
    rounds.push(rates);
  }
  return rounds;
}

async function rateOf(read: () => Promise<unknown>, lanes: number, seconds: number): Promise<number> {
  const start = performance.now();
  const end = start + seconds * 1000;
  let done = 0;
  const lane = async () => {
    for (; performance.now() < end; done += 1) await read();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return done / ((performance.now() - start) / 1000);
}
