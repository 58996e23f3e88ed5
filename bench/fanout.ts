import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { type FloorOrder } from './fanout-floor.js';
import { type WatchersOrder } from './fanout-watchers.js';
import { type Bench, median, printOccasion, printTable, rounded } from './support/bench.js';
import { GraphqlClient } from './support/graphql-client.js';
import { type Helper, startHelper } from './support/helper.js';
import { makeScratch, openClient, type Scratch } from './support/postgres.js';
import { collectedRssMb, COLLECTS_ON_SIGNAL, cpuMs, requireOpenFiles } from './support/process-account.js';
import { type OnRelease, releasedAfter } from './support/releases.js';
import { type Sides } from './support/rounds.js';
import { startService } from './support/service.js';

const SIZES = [3_000, 10_000];
const ROUNDS = 9;
/** One after the other, each when the one before has reached everybody. */
const EVENTS_A_ROUND = 4;
/** Code that is compiled and buffers that have grown, before anything is measured. */
const WARM_UP_EVENTS = 4;
/** For what a server still does when the last message has arrived. */
const SETTLE_MS = 50;
/** Besides a socket for each watcher. */
const OTHER_FILES = 200;
const GOAL_RATIO = 2;
const GOAL_MEMORY = 2.5;

const FLOOR = new URL('./fanout-floor.js', import.meta.url);
const WATCHERS = new URL('./fanout-watchers.js', import.meta.url);
const GENERATE = `mutation { generateImages(input: { prompt: "a white siamese cat" }) { task { id cursor } } }`;
const WATCH = `subscription taskEvents($after: String) {
  taskEvents(after: $after) { id cursor type at actor data task { id status prompt } }
}`;
/** As a worker's commit does. */
const INSERT_EVENT = `insert into task_events (workspace_id, task_id, type, actor)
  select workspace_id, id, 'TASK_SUBMITTED', 'bench' from tasks where id = $1`;

interface Generated {
  generateImages: { task: { id: string; cursor: string } };
}

/** A server with its watchers. */
interface Side {
  pid: number;
  watchers: Helper<WatchersOrder, string>;
  /** Makes the server send its next message to everybody. */
  send(): Promise<unknown>;
  /** Messages that every watcher was sent so far. */
  sent: number;
  /** Whether who comes later is sent what was before. */
  replays: boolean;
}

interface Figure {
  cpuUs: number;
  wallMs: number;
}

/**
 * What does one event cost that many watch? One workspace's event goes to every watcher over a socket of its own; the floor is
 * a bare `ws` server that sends the very same bytes to as many sockets. Both servers are alone in their process, and their
 * watchers in another.
 *
 * Measured is the processor time of the server's process for each message, from the event's becoming known (on our side its
 * reading and rendering is in it) to the last byte handed to a socket. Until the last watcher has it would be measured
 * with the watchers' own work in it, which has the same cores; the table tells it too. Memory is what is resident,
 * garbage collected, with all watchers connected and sent a few events, less what was with a third of them: the first ones
 * move into what the start has left (ours) or make the first room (the floor), which says nothing of the ones to come.
 */
export const fanout: Bench = async ({ release }) => {
  printOccasion('One event to all who watch: by the service, and the same bytes by a bare ws server');
  requireOpenFiles(Math.max(...SIZES) + OTHER_FILES);
  const scratch = await makeScratch(release);
  const figures = [];
  for (const size of SIZES) figures.push(await releasedAfter(release, (own) => measure(size, scratch, own)));
  console.log(
    `Goals: a ratio of at most ${GOAL_RATIO}, and at most ${GOAL_MEMORY} times the floor's memory.`,
  );
  for (const figure of figures) console.log(JSON.stringify({ bench: 'fanout', ...figure }));
};

async function measure(watchers: number, scratch: Scratch, release: OnRelease) {
  const ours = await startOurs(`fanout_${watchers}`, scratch, release);
  const kbPerWatcher = await fill(ours, watchers);
  const floor = await startFloor(await push(ours, 1), release);
  const floorKb = await fill(floor, watchers);

  const done: Sides<Figure[]> = { ours: [], floor: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    const measureOurs = async () => done.ours.push(await measureRound(ours, watchers));
    const measureFloor = async () => done.floor.push(await measureRound(floor, watchers));
    for (const side of round % 2 === 0 ? [measureOurs, measureFloor] : [measureFloor, measureOurs])
      await side();
  }
  const ratios = done.ours.map(({ cpuUs }, round) => cpuUs / (done.floor[round]?.cpuUs ?? NaN));
  const row = (name: string, figures: Figure[], kb: number) => [
    name,
    ...figures.map(({ cpuUs }) => cpuUs.toFixed(1)),
    medianOf(figures, 'cpuUs').toFixed(1),
    medianOf(figures, 'wallMs').toFixed(0),
    kb.toFixed(1),
  ];
  printTable([
    [
      `${watchers} watchers, µs`,
      ...ratios.map((_, round) => String(round + 1)),
      'median',
      'ms to the last',
      'kB each',
    ],
    row('the service', done.ours, kbPerWatcher),
    row('bare ws', done.floor, floorKb),
    ['ratio', ...[...ratios, median(ratios)].map((ratio) => ratio.toFixed(2)), '', ''],
  ]);
  const usPerMessage = rounded(medianOf(done.ours, 'cpuUs'), 1);
  const floorUs = rounded(medianOf(done.floor, 'cpuUs'), 1);
  return { watchers, usPerMessage, floorUs, ratio: rounded(median(ratios), 2), kbPerWatcher, floorKb };
}

async function startOurs(name: string, scratch: Scratch, release: OnRelease): Promise<Side> {
  const databaseUrl = await scratch.database(name);
  const dataDir = scratch.folder(name);
  const { url, apiKey, pid } = await startService(
    { databaseUrl, dataDir, roles: 'api', environment: { NODE_OPTIONS: COLLECTS_ON_SIGNAL } },
    release,
  );
  const client = new GraphqlClient(url, apiKey, 1);
  const { generateImages } = await client.query<Generated>(GENERATE, {});
  await client.close();
  const { id, cursor } = generateImages.task;
  const database = await openClient(databaseUrl, release);
  const send = async () => {
    await database.query(INSERT_EVENT, [id]);
    // Null: the service itself is sealing at this moment, and may have looked too early.
    for (let sealed = null; sealed === null;) {
      const { rows } = await database.query<{ sealed: number | null }>('select seal_events(1000) as sealed');
      sealed = rows[0]?.sealed ?? null;
    }
  };
  const watchers = await startHelper<WatchersOrder, string>(
    WATCHERS,
    [`${url}/graphql`, apiKey, WATCH, cursor],
    release,
  );
  return { pid, watchers, send, sent: 0, replays: true };
}

async function startFloor(text: string, release: OnRelease): Promise<Side> {
  const server = await startHelper<FloorOrder, string>(FLOOR, [], release, [COLLECTS_ON_SIGNAL]);
  const url = await server.ask({});
  const watchers = await startHelper<WatchersOrder, string>(WATCHERS, [url], release);
  return { pid: server.pid, watchers, send: () => server.ask({ text }), sent: 0, replays: false };
}

/** Connects the watchers, and sends them a few events; kB that each of those who came after the first third has cost. */
async function fill(side: Side, watchers: number): Promise<number> {
  const first = Math.round(watchers / 3);
  const rss = [];
  for (const open of [first, watchers - first]) {
    await side.watchers.ask({ open, received: side.replays ? 0 : side.sent });
    await push(side, WARM_UP_EVENTS);
    rss.push(await collectedRssMb(side.pid));
  }
  const [before = NaN, after = NaN] = rss;
  return rounded(((after - before) * 1024) / (watchers - first), 1);
}

/** Sends events one after the other; what the first watcher received last. */
async function push(side: Side, events: number): Promise<string> {
  let last = '';
  for (let event = 0; event < events; event += 1) {
    side.sent += 1;
    const received = side.watchers.ask({ until: side.sent });
    await side.send();
    last = await received;
  }
  return last;
}

async function measureRound(side: Side, watchers: number): Promise<Figure> {
  const cpuBefore = cpuMs(side.pid);
  const startedAt = performance.now();
  await push(side, EVENTS_A_ROUND);
  const wallMs = (performance.now() - startedAt) / EVENTS_A_ROUND;
  await pause(SETTLE_MS);
  return { cpuUs: ((cpuMs(side.pid) - cpuBefore) * 1000) / (watchers * EVENTS_A_ROUND), wallMs };
}

function medianOf(figures: readonly Figure[], what: keyof Figure): number {
  return median(figures.map((figure) => figure[what]));
}
