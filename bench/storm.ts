import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { EventCursorCodec } from '../src/core/events/event-cursor.js';
import { newId } from '../src/core/primitives/ids.js';
import { Signer } from '../src/core/access/signer.js';
import { type StormResult, type StormCommand } from './storm-subscribers.js';
import { type Bench, printHeader, printTable, roundTo } from './support/bench.js';
import { type HelperProcess, startHelper } from './support/helper.js';
import { createScratch, openClient } from './support/postgres.js';
import { cpuMs, assertOpenFileLimit } from './support/process-account.js';
import { withOwnReleases } from './support/releases.js';
import { startService } from './support/service.js';

const SUBSCRIBERS = 5_000;
/** Subscriber processes, so that both cores are used when the service needs none. */
const PROCESSES = 2;
/** Events while the subscribers were disconnected: 20 seconds at 200 per second. */
const EVENTS = 4_000;
/**
 * One in 40 events belongs to the subscribed workspace, and the others to different workspaces. That makes 100 events, of which a
 * subscriber has missed 50 on average. 5,000 subscribers of a workspace with 200 events per second would be too many anyway.
 */
const WORKSPACE_SHARE = 40;
const ROUNDS = 3;
const OTHER_FILES = 200;
/** PostgreSQL reports commits at most a second later. */
const STATS_DELAY_MS = 2_500;
const GOAL_SECONDS = 10;
const SECRET = 'a secret only for this benchmark, 32 bytes and more';

const LOAD = new URL('./storm-subscribers.js', import.meta.url);
const SUBSCRIBE = `subscription taskEvents($after: String) {
  taskEvents(after: $after) { id cursor type at actor data task { id status prompt } }
}`;

interface StormRound {
  seconds: number;
  messages: number;
  queries: number;
  cpuSeconds: number;
}

/**
 * How long does it take to serve all subscribers after an instance has died? 5,000 subscribers of one workspace connect at once
 * to an instance that has just started, with cursors spread evenly over the last 4,000 events of the log. Each must receive
 * exactly the events after its cursor, in order. Measures the seconds from the first connection to the last event of the last
 * subscriber, and the statements sent to PostgreSQL in that time (counted as commits, including the instance's regular ones).
 * There is no floor. The slowest round counts, and each has its own instance.
 */
export const storm: Bench = async ({ release }) => {
  printHeader(`${SUBSCRIBERS} subscribers reconnect at once to an instance that has just started`);
  assertOpenFileLimit(SUBSCRIBERS + OTHER_FILES);
  const scratch = await createScratch(release);
  const databaseUrl = await scratch.database('storm');
  const options = { databaseUrl, roles: 'api', environment: { SECRET_KEY: SECRET } };
  const { apiKey } = await withOwnReleases(release, (own) =>
    startService({ ...options, dataDir: scratch.folder('before') }, own),
  );
  const database = await openClient(databaseUrl, release);
  const commands = await createCommands(database);

  const rounds: StormRound[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    rounds.push(
      await withOwnReleases(release, async (own) => {
        const service = await startService({ ...options, dataDir: scratch.folder(`storm-${round}`) }, own);
        const start = () =>
          startHelper<StormCommand, StormResult>(LOAD, [`${service.url}/graphql`, apiKey, SUBSCRIBE], own);
        const processes = await Promise.all(commands.map(start));
        return measure(database, service.pid, processes, commands);
      }),
    );
  }
  const row = (name: string, what: (round: StormRound) => string) => [name, ...rounds.map(what)];
  printTable([
    row('round', (round) => String(rounds.indexOf(round) + 1)),
    row('seconds', ({ seconds }) => seconds.toFixed(1)),
    row('CPU seconds of the service', ({ cpuSeconds }) => cpuSeconds.toFixed(1)),
    row('events received', ({ messages }) => String(messages)),
    row('statements', ({ queries }) => String(queries)),
  ]);
  console.log(`Goals: within ${GOAL_SECONDS} s, and far fewer statements than subscribers.`);
  const seconds = roundTo(Math.max(...rounds.map((round) => round.seconds)), 1);
  const queries = Math.max(...rounds.map((round) => round.queries));
  console.log(JSON.stringify({ bench: 'storm', subscribers: SUBSCRIBERS, seconds, queries }));
};

async function measure(
  database: pg.Client,
  pid: number,
  processes: HelperProcess<StormCommand, StormResult>[],
  commands: StormCommand[],
): Promise<StormRound> {
  await pause(STATS_DELAY_MS); // for the statements of the start
  const before = await countCommits(database);
  const cpuBefore = cpuMs(pid);
  const results = await Promise.all(
    processes.map((helper, index) => helper.call(commands[index] ?? { cursors: [], subscribers: [] })),
  );
  const cpuSeconds = (cpuMs(pid) - cpuBefore) / 1000;
  await pause(STATS_DELAY_MS);
  return {
    seconds: Math.max(...results.map((result) => result.seconds)),
    messages: results.reduce((sum, result) => sum + result.messages, 0),
    queries: (await countCommits(database)) - before,
    cpuSeconds,
  };
}

async function countCommits(database: pg.Client): Promise<number> {
  const { rows } = await database.query<{ commits: number }>(
    'select xact_commit::int as commits from pg_stat_database where datname = current_database()',
  );
  return rows[0]?.commits ?? NaN;
}

/** Writes and seals the log, and returns where each subscriber resumes. */
async function createCommands(database: pg.Client): Promise<StormCommand[]> {
  const { rows } = await database.query<{ id: string; log_id: string }>(
    'select id, (select log_id from event_log) from workspaces',
  );
  const [{ id: workspaceId, log_id: logId } = { id: '', log_id: '' }] = rows;
  const cursors = new EventCursorCodec(new Signer(Buffer.from(SECRET)), logId);
  await database.query(
    `with task as (
       insert into tasks (id, workspace_id, kind, prompt, model, requested_count, input_hash, deadline_at)
       select gen_random_uuid(), case when n % $1 = 0 then $2::uuid else $3::uuid end, 'GENERATE', 'a white siamese cat',
              'flux-dev', 1, '', now() + interval '1 hour'
       from generate_series(1, $4) n
       returning id, workspace_id
     )
     insert into task_events (workspace_id, task_id, type, actor) select workspace_id, id, 'TASK_REQUESTED', 'bench' from task`,
    [WORKSPACE_SHARE, workspaceId, newId(), EVENTS],
  );
  await database.query(`select seal_events($1)`, [EVENTS]);
  const found = await database.query<{ position: string }>(
    'select position from task_events where workspace_id = $1 order by position',
    [workspaceId],
  );
  const positions = found.rows.map(({ position }) => Number(position));
  const log = positions.map((position) => cursors.encode(BigInt(position)));
  const commands = Array.from({ length: PROCESSES }, (): StormCommand => ({ cursors: log, subscribers: [] }));
  for (let index = 0; index < SUBSCRIBERS; index += 1) {
    const after = Math.floor((index * EVENTS) / SUBSCRIBERS);
    const next = positions.findIndex((position) => position > after);
    const subscriber = { after: cursors.encode(BigInt(after)), next: next < 0 ? positions.length : next };
    commands[index % PROCESSES]?.subscribers.push(subscriber);
  }
  return commands;
}
