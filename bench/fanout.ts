import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { type FloorCommand } from './fanout-floor.js';
import { type SubscribersCommand } from './fanout-subscribers.js';
import { type Bench, median, printHeader, printTable, roundTo } from './support/bench.js';
import { GraphqlClient } from './support/graphql-client.js';
import { type HelperProcess, startHelper } from './support/helper.js';
import { createScratch, openClient, type Scratch } from './support/postgres.js';
import {
  rssMbAfterGc,
  COLLECT_ON_SIGNAL_OPTION,
  cpuMs,
  assertOpenFileLimit,
} from './support/process-account.js';
import { type RegisterRelease, withOwnReleases } from './support/releases.js';
import { type Comparison } from './support/rounds.js';
import { startService } from './support/service.js';

const SIZES = [3_000, 10_000];
const ROUNDS = 9;
/** Sent one after another, each when all subscribers have received the previous one. */
const EVENTS_PER_ROUND = 4;
/** For compiling code and growing buffers before anything is measured. */
const WARM_UP_EVENTS = 4;
/** For work that the server still does after the last message has arrived. */
const SETTLE_MS = 50;
/** In addition to a socket for each subscriber. */
const RESERVED_FILE_DESCRIPTORS = 200;
const GOAL_RATIO = 2;
const GOAL_MEMORY = 2.5;

const FLOOR = new URL('./fanout-floor.js', import.meta.url);
const SUBSCRIBERS = new URL('./fanout-subscribers.js', import.meta.url);
const GENERATE = `mutation { generateImages(input: { prompt: "a white siamese cat" }) { task { id eventCursor } } }`;
const SUBSCRIBE = `subscription taskEvents($after: String) {
  taskEvents(after: $after) { id cursor type at actor data task { id status prompt } }
}`;
/** As a worker would write it. */
const INSERT_EVENT = `insert into task_events (workspace_id, task_id, type, actor)
  select workspace_id, id, 'TASK_SUBMITTED', 'bench' from tasks where id = $1`;

interface GeneratedWithCursor {
  generateImages: { task: { id: string; eventCursor: string } };
}

/** A server with its subscribers. */
interface FanoutSide {
  pid: number;
  subscribers: HelperProcess<SubscribersCommand, string>;
  /** Makes the server send its next message to all subscribers. */
  emitEvent(): Promise<unknown>;
  /** Messages sent to every subscriber so far. */
  sentCount: number;
  /** Whether new subscribers receive the earlier messages. */
  replays: boolean;
}

interface RoundFigures {
  cpuUs: number;
  wallMs: number;
}

/**
 * What does it cost to push one event to many subscribers? One event of a workspace goes to every subscriber over its own socket.
 * The floor is a bare `ws` server that sends the same bytes to as many sockets. Each server has a process of its own, and so do
 * its subscribers.
 *
 * Measures the CPU time of the server process per message, from when the event becomes known (for the service including reading
 * and rendering it) until the last byte is written to a socket. The time until the last subscriber has received it would include
 * the work of the subscribers on the same cores; the table shows it as well. Memory is the resident memory after garbage
 * collection with all subscribers connected and a few events sent, minus the memory with a third of them. The first subscribers
 * reuse memory from the start (service) or allocate the first buffers (floor), so they do not represent later ones.
 */
export const fanout: Bench = async ({ release }) => {
  printHeader('One event to all subscribers: by the service, and the same bytes by a bare ws server');
  assertOpenFileLimit(Math.max(...SIZES) + RESERVED_FILE_DESCRIPTORS);
  const scratch = await createScratch(release);
  const figures = [];
  for (const size of SIZES)
    figures.push(await withOwnReleases(release, (own) => measure(size, scratch, own)));
  console.log(
    `Goals: a ratio of at most ${GOAL_RATIO}, and at most ${GOAL_MEMORY} times the floor's memory.`,
  );
  for (const figure of figures) console.log(JSON.stringify({ bench: 'fanout', ...figure }));
};

async function measure(subscriberCount: number, scratch: Scratch, release: RegisterRelease) {
  const ours = await startOurs(`fanout_${subscriberCount}`, scratch, release);
  const kbPerSubscriber = await openAndMeasureMemory(ours, subscriberCount);
  const floor = await startFloor(await pushEvents(ours, 1), release);
  const floorKb = await openAndMeasureMemory(floor, subscriberCount);

  const done: Comparison<RoundFigures[]> = { ours: [], floor: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    const measureOurs = async () => done.ours.push(await measureRound(ours, subscriberCount));
    const measureFloor = async () => done.floor.push(await measureRound(floor, subscriberCount));
    for (const side of round % 2 === 0 ? [measureOurs, measureFloor] : [measureFloor, measureOurs])
      await side();
  }
  const ratios = done.ours.map(({ cpuUs }, round) => cpuUs / (done.floor[round]?.cpuUs ?? NaN));
  const row = (name: string, figures: RoundFigures[], kb: number) => [
    name,
    ...figures.map(({ cpuUs }) => cpuUs.toFixed(1)),
    medianOf(figures, 'cpuUs').toFixed(1),
    medianOf(figures, 'wallMs').toFixed(0),
    kb.toFixed(1),
  ];
  printTable([
    [
      `${subscriberCount} subscribers, µs`,
      ...ratios.map((_, round) => String(round + 1)),
      'median',
      'ms to last',
      'kB each',
    ],
    row('the service', done.ours, kbPerSubscriber),
    row('bare ws', done.floor, floorKb),
    ['ratio', ...[...ratios, median(ratios)].map((ratio) => ratio.toFixed(2)), '', ''],
  ]);
  const usPerMessage = roundTo(medianOf(done.ours, 'cpuUs'), 1);
  const floorUs = roundTo(medianOf(done.floor, 'cpuUs'), 1);
  return {
    subscribers: subscriberCount,
    usPerMessage,
    floorUs,
    ratio: roundTo(median(ratios), 2),
    kbPerSubscriber,
    floorKb,
  };
}

async function startOurs(name: string, scratch: Scratch, release: RegisterRelease): Promise<FanoutSide> {
  const databaseUrl = await scratch.database(name);
  const dataDir = scratch.folder(name);
  const { url, apiKey, pid } = await startService(
    { databaseUrl, dataDir, roles: 'api', environment: { NODE_OPTIONS: COLLECT_ON_SIGNAL_OPTION } },
    release,
  );
  const client = new GraphqlClient(url, apiKey, 1);
  const { generateImages } = await client.query<GeneratedWithCursor>(GENERATE, {});
  await client.close();
  const { id, eventCursor } = generateImages.task;
  const database = await openClient(databaseUrl, release);
  const emitEvent = async () => {
    await database.query(INSERT_EVENT, [id]);
    // Null means that the service is sealing at the moment, and may have looked before this event was written.
    for (let sealed = null; sealed === null;) {
      const { rows } = await database.query<{ sealed: number | null }>('select seal_events(1000) as sealed');
      sealed = rows[0]?.sealed ?? null;
    }
  };
  const subscribers = await startHelper<SubscribersCommand, string>(
    SUBSCRIBERS,
    [`${url}/graphql`, apiKey, SUBSCRIBE, eventCursor],
    release,
  );
  return { pid, subscribers, emitEvent, sentCount: 0, replays: true };
}

async function startFloor(text: string, release: RegisterRelease): Promise<FanoutSide> {
  const server = await startHelper<FloorCommand, string>(FLOOR, [], release, [COLLECT_ON_SIGNAL_OPTION]);
  const url = await server.call({});
  const subscribers = await startHelper<SubscribersCommand, string>(SUBSCRIBERS, [url], release);
  return {
    pid: server.pid,
    subscribers,
    emitEvent: () => server.call({ text }),
    sentCount: 0,
    replays: false,
  };
}

/** Connects the subscribers and sends a few events. Returns the kB that each subscriber after the first third has cost. */
async function openAndMeasureMemory(side: FanoutSide, subscriberCount: number): Promise<number> {
  const first = Math.round(subscriberCount / 3);
  const rss = [];
  for (const openSubscribers of [first, subscriberCount - first]) {
    await side.subscribers.call({ openSubscribers, received: side.replays ? 0 : side.sentCount });
    await pushEvents(side, WARM_UP_EVENTS);
    rss.push(await rssMbAfterGc(side.pid));
  }
  const [before = NaN, after = NaN] = rss;
  return roundTo(((after - before) * 1024) / (subscriberCount - first), 1);
}

/** Sends events one after another. Returns the last message of the first subscriber. */
async function pushEvents(side: FanoutSide, events: number): Promise<string> {
  let last = '';
  for (let event = 0; event < events; event += 1) {
    side.sentCount += 1;
    const received = side.subscribers.call({ waitForMessages: side.sentCount });
    await side.emitEvent();
    last = await received;
  }
  return last;
}

async function measureRound(side: FanoutSide, subscriberCount: number): Promise<RoundFigures> {
  const cpuBefore = cpuMs(side.pid);
  const startedAt = performance.now();
  await pushEvents(side, EVENTS_PER_ROUND);
  const wallMs = (performance.now() - startedAt) / EVENTS_PER_ROUND;
  await pause(SETTLE_MS);
  return { cpuUs: ((cpuMs(side.pid) - cpuBefore) * 1000) / (subscriberCount * EVENTS_PER_ROUND), wallMs };
}

function medianOf(figures: readonly RoundFigures[], name: keyof RoundFigures): number {
  return median(figures.map((figure) => figure[name]));
}
