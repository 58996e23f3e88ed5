import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { EventCursors } from '../src/core/events/event-cursor.js';
import { newId } from '../src/core/primitives/ids.js';
import { Signer } from '../src/core/access/signer.js';
import { type StormAnswer, type StormOrder } from './storm-watchers.js';
import { type Bench, printOccasion, printTable, rounded } from './support/bench.js';
import { type Helper, startHelper } from './support/helper.js';
import { makeScratch, openClient } from './support/postgres.js';
import { cpuMs, requireOpenFiles } from './support/process-account.js';
import { releasedAfter } from './support/releases.js';
import { startService } from './support/service.js';

const WATCHERS = 5_000;
/** So that the watchers have both cores when the service does not need one. */
const PROCESSES = 2;
/** What happened while they were away: 20 seconds at 200 a second. */
const EVENTS = 4_000;
/**
 * Of the workspace that all of them watch is one event of 40, the others are of its neighbours: 100 events, of which a
 * watcher has missed 50 on average. 5,000 watchers of a workspace with 200 events a second could not be served in quiet times.
 */
const SHARE = 40;
const ROUNDS = 3;
const OTHER_FILES = 200;
/** Postgres counts commits at the latest a second later. */
const COUNTED_MS = 2_500;
const GOAL_SECONDS = 10;
const SECRET = 'a secret of this bench alone, 32 bytes and more';

const LOAD = new URL('./storm-watchers.js', import.meta.url);
const WATCH = `subscription taskEvents($after: String) {
  taskEvents(after: $after) { id cursor type at actor data task { id status prompt } }
}`;

interface Round {
  seconds: number;
  messages: number;
  queries: number;
  cpuSeconds: number;
}

/**
 * How long does it take until everybody is served after an instance is gone? 5,000 watchers of one workspace connect at once to
 * an instance that has just started, with cursors spread evenly over the last 4,000 events of the log. Each must receive
 * exactly what came after its cursor, in order. Told are the seconds from the first connection to the last watcher's last
 * event, and the statements that Postgres was sent meanwhile, by all (each is a commit, and the instance's regular ones
 * are in it). There is no floor; the slowest of the rounds counts, each with an instance of its own.
 */
export const storm: Bench = async ({ release }) => {
  printOccasion(`${WATCHERS} watchers come back at once, to an instance that has just started`);
  requireOpenFiles(WATCHERS + OTHER_FILES);
  const scratch = await makeScratch(release);
  const databaseUrl = await scratch.database('storm');
  const options = { databaseUrl, roles: 'api', environment: { SECRET_KEY: SECRET } };
  const { apiKey } = await releasedAfter(release, (own) =>
    startService({ ...options, dataDir: scratch.folder('before') }, own),
  );
  const database = await openClient(databaseUrl, release);
  const orders = await makeOrders(database);

  const rounds: Round[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    rounds.push(
      await releasedAfter(release, async (own) => {
        const service = await startService({ ...options, dataDir: scratch.folder(`storm-${round}`) }, own);
        const start = () =>
          startHelper<StormOrder, StormAnswer>(LOAD, [`${service.url}/graphql`, apiKey, WATCH], own);
        const processes = await Promise.all(orders.map(start));
        return measure(database, service.pid, processes, orders);
      }),
    );
  }
  const row = (name: string, what: (round: Round) => string) => [name, ...rounds.map(what)];
  printTable([
    row('round', (round) => String(rounds.indexOf(round) + 1)),
    row('seconds', ({ seconds }) => seconds.toFixed(1)),
    row('processor seconds of the service', ({ cpuSeconds }) => cpuSeconds.toFixed(1)),
    row('events received', ({ messages }) => String(messages)),
    row('statements', ({ queries }) => String(queries)),
  ]);
  console.log(`Goals: within ${GOAL_SECONDS} s, and far fewer statements than watchers.`);
  const seconds = rounded(Math.max(...rounds.map((round) => round.seconds)), 1);
  const queries = Math.max(...rounds.map((round) => round.queries));
  console.log(JSON.stringify({ bench: 'storm', watchers: WATCHERS, seconds, queries }));
};

async function measure(
  database: pg.Client,
  pid: number,
  processes: Helper<StormOrder, StormAnswer>[],
  orders: StormOrder[],
): Promise<Round> {
  await pause(COUNTED_MS); // the start's own statements
  const before = await commits(database);
  const cpuBefore = cpuMs(pid);
  const answers = await Promise.all(
    processes.map((helper, index) => helper.ask(orders[index] ?? { log: [], watchers: [] })),
  );
  const cpuSeconds = (cpuMs(pid) - cpuBefore) / 1000;
  await pause(COUNTED_MS);
  return {
    seconds: Math.max(...answers.map((answer) => answer.seconds)),
    messages: answers.reduce((sum, answer) => sum + answer.messages, 0),
    queries: (await commits(database)) - before,
    cpuSeconds,
  };
}

async function commits(database: pg.Client): Promise<number> {
  const { rows } = await database.query<{ commits: number }>(
    'select xact_commit::int as commits from pg_stat_database where datname = current_database()',
  );
  return rows[0]?.commits ?? NaN;
}

/** Writes and seals the log, and says where each watcher goes on. */
async function makeOrders(database: pg.Client): Promise<StormOrder[]> {
  const { rows } = await database.query<{ id: string; log_id: string }>(
    'select id, (select log_id from event_log_head) from workspaces',
  );
  const [{ id: watched, log_id: logId } = { id: '', log_id: '' }] = rows;
  const cursors = new EventCursors(new Signer(Buffer.from(SECRET)), logId);
  await database.query(
    `with task as (
       insert into tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at)
       select gen_random_uuid(), case when n % $1 = 0 then $2::uuid else $3::uuid end, 'GENERATE', 'a white siamese cat',
              'flux-dev', 1, '', now() + interval '1 hour'
       from generate_series(1, $4) n
       returning id, workspace_id
     )
     insert into task_events (workspace_id, task_id, type, actor) select workspace_id, id, 'TASK_REQUESTED', 'bench' from task`,
    [SHARE, watched, newId(), EVENTS],
  );
  await database.query(`select seal_events($1)`, [EVENTS]);
  const found = await database.query<{ position: string }>(
    'select position from task_events where workspace_id = $1 order by position',
    [watched],
  );
  const positions = found.rows.map(({ position }) => Number(position));
  const log = positions.map((position) => cursors.encode(BigInt(position)));
  const orders = Array.from({ length: PROCESSES }, (): StormOrder => ({ log, watchers: [] }));
  for (let index = 0; index < WATCHERS; index += 1) {
    const after = Math.floor((index * EVENTS) / WATCHERS);
    const next = positions.findIndex((position) => position > after);
    const watcher = { after: cursors.encode(BigInt(after)), next: next < 0 ? positions.length : next };
    orders[index % PROCESSES]?.watchers.push(watcher);
  }
  return orders;
}
