import { performance } from 'node:perf_hooks';
import { pino } from 'pino';
import { wholeWorkspace } from '../src/core/access/visibility.js';
import { Database, type Statement } from '../src/db/postgres/database.js';
import { Images } from '../src/db/images/image-repository.js';
import { pageOfTasks, type TaskFilter } from '../src/db/tasks/task-pages.js';
import { Tasks } from '../src/db/tasks/task-repository.js';
import { fillHistory, RARE_WORD } from './history-fill.js';
import { type Bench, median, printOccasion, printTable, rounded } from './support/bench.js';
import { prepareFloor } from './support/floor.js';
import { makeScratch, withClient } from './support/postgres.js';

const DEFAULT_SECONDS = 60;
const TASKS = 200_000;
const CONNECTIONS = 8;
const ROUNDS = 6;
const WARM_UP_SECONDS = 0.5;
const GOAL = 0.9;

/** The same statements without the second line. */
class Unheld extends Database {
  override within<Row extends object>(_workspaceId: string, statement: Statement, values: unknown[]) {
    return this.run<Row>(statement, values);
  }
}
/** With the second line, and planned when Postgres likes, as those without it. */
class Replanned extends Database {
  override within<Row extends object>(workspaceId: string, statement: Statement, values: unknown[]) {
    return super.within<Row>(workspaceId, { ...statement, planOnce: false }, values);
  }
}
/** With the second line also where the ids of a page are found. */
class HeldThroughout extends Database {
  workspaceId = '';
  override run<Row extends object>(statement: Statement, values: unknown[]) {
    return this.within<Row>(this.workspaceId, statement, values);
  }
}

interface Kind {
  title: string;
  /** At once, each in a closed loop. */
  lanes: number;
  held: Database;
  ask: (db: Database) => Promise<{ length: number }>;
}

/**
 * What does row-level security cost callers? The same reads with it and without, in one database of 200,000 tasks, four fifths
 * of which are the workspace's that asks. Without it they are run by the superuser that the embedded Postgres has, whom
 * no policy concerns.
 */
export const rls: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printOccasion(`Reads a second of ${TASKS} tasks: with row-level security, and without`);
  const scratch = await makeScratch(release);
  const url = await scratch.database('rls');
  const workspaceId = await prepareFloor(url);
  await fillHistory(url, TASKS);
  const ids = await spreadTasks(url);
  const options = { url, maxConnections: CONNECTIONS, log: pino({ level: 'silent' }) };
  const [held, unheld] = [new Database(options), new Unheld(options)];
  const [replanned, throughout] = [new Replanned(options), new HeldThroughout(options)];
  throughout.workspaceId = workspaceId;
  for (const db of [held, unheld, replanned, throughout]) release(() => db.close());
  if (!(await held.holdCallers())) throw new Error('Row-level security is off here.');

  const reach = wholeWorkspace(workspaceId);
  let next = 0;
  const someIds = (count: number) =>
    Array.from({ length: count }, () => ids[(next += 1) % ids.length] as string);
  const find = (db: Database) => new Tasks(db).findMany(reach, someIds(1));
  const page = (filter: TaskFilter) => (db: Database) => pageOfTasks(db, reach, filter, null, 21);
  const unconfirmed = page({ statuses: ['UNCONFIRMED'] });
  const rare = page({ search: RARE_WORD });
  const imagesOf = (db: Database) => new Images(db).findByTasks(workspaceId, someIds(20));
  const kinds = {
    find: { title: 'a task by its id', lanes: CONNECTIONS, held, ask: find },
    findReplanned: { title: '- not planned once', lanes: CONNECTIONS, held: replanned, ask: find },
    images: { title: 'the images of 20 tasks', lanes: CONNECTIONS, held, ask: imagesOf },
    first: { title: 'the first page of 20', lanes: 1, held, ask: page({}) },
    filtered: { title: 'statuses: [UNCONFIRMED], a hundredth', lanes: 1, held, ask: unconfirmed },
    filteredThroughout: { title: '- its ids, too', lanes: 1, held: throughout, ask: unconfirmed },
    rareWord: { title: `search: "${RARE_WORD}"`, lanes: 1, held, ask: rare },
    rareWordThroughout: { title: '- its ids, too', lanes: 1, held: throughout, ask: rare },
  } satisfies Record<string, Kind>;

  const table = [['reads a second', 'with', 'without', 'ratio']];
  const ratios: Record<string, number> = {};
  const share = seconds / Object.keys(kinds).length / ROUNDS / 2;
  for (const [name, kind] of Object.entries<Kind>(kinds)) {
    const rates = await compare(kind, unheld, share);
    const ratio = median(rates.map(({ ours, floor }) => ours / floor));
    const perSecond = [median(rates.map(({ ours }) => ours)), median(rates.map(({ floor }) => floor))];
    table.push([kind.title, ...perSecond.map((rate) => rate.toFixed(0)), ratio.toFixed(2)]);
    ratios[name] = rounded(ratio, 3);
  }
  printTable(table);
  console.log(`Goal: ratios of at least ${GOAL}, but for those with a dash, which show what was not done.`);
  console.log(JSON.stringify({ bench: 'rls', ...ratios }));
};

/** Gives a fifth of the tasks to four other workspaces; returns the ids of some that are left. */
async function spreadTasks(url: string): Promise<string[]> {
  return withClient(url, async (client) => {
    await client.query(`
      UPDATE tasks SET workspace_id = md5((abs(hashtext(id::text)) / 5 % 4)::text)::uuid
      WHERE abs(hashtext(id::text)) % 5 = 0`);
    await client.query('VACUUM (ANALYZE) tasks');
    const { rows } = await client.query<{ id: string }>(
      'SELECT id FROM tasks WHERE workspace_id = (SELECT id FROM workspaces) ORDER BY random() LIMIT 1000',
    );
    return rows.map(({ id }) => id);
  });
}

/** Rates of both, round by round; who goes first changes. */
async function compare({ lanes, held, ask }: Kind, unheld: Database, secondsEach: number) {
  const sides = { ours: held, floor: unheld };
  const rounds: { ours: number; floor: number }[] = [];
  const [ours, floor] = [await ask(held), await ask(unheld)];
  if (ours.length === 0 || floor.length === 0) throw new Error('There was nothing to read.');
  for (const db of [held, unheld]) await rateOf(() => ask(db), lanes, WARM_UP_SECONDS);
  for (let round = 0; round < ROUNDS; round += 1) {
    const rates = { ours: 0, floor: 0 };
    const order = round % 2 === 0 ? (['ours', 'floor'] as const) : (['floor', 'ours'] as const);
    for (const side of order) rates[side] = await rateOf(() => ask(sides[side]), lanes, secondsEach);
    rounds.push(rates);
  }
  return rounds;
}

async function rateOf(ask: () => Promise<unknown>, lanes: number, seconds: number): Promise<number> {
  const start = performance.now();
  const end = start + seconds * 1000;
  let done = 0;
  const lane = async () => {
    for (; performance.now() < end; done += 1) await ask();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return done / ((performance.now() - start) / 1000);
}
