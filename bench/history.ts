import { performance } from 'node:perf_hooks';
import { fillHistory, FREQUENT_WORD, PERIOD, RARE_WORD } from './history-fill.js';
import { type Bench, type BenchOptions, median, printHeader, printTable, roundTo } from './support/bench.js';
import { GraphqlClient } from './support/graphql-client.js';
import { createScratch, type Scratch, withClient } from './support/postgres.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 20;
const SHORT_HISTORY = 1_000;
const LONG_HISTORY = 100_000;
/** Consecutive pairs of queries of one kind. A round has this many pairs of each kind. */
const PAIRS = 10;
/** Enough to compile the services' code and to let PostgreSQL choose its plans. */
const WARM_UP_ROUNDS = 5;
const GOAL = 1.2;

/** The fields of a gallery or a history table. */
const PAGE = `query Page($after: String, $filter: TaskFilter) {
  tasks(first: 20, after: $after, filter: $filter) {
    nodes { id status prompt createdAt images { url } }
    pageInfo { hasNextPage endCursor }
  }
}`;

interface TasksPage {
  tasks: { nodes: { id: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } };
}

const PAGE_KINDS = ['first', 'deep', 'filtered', 'rareWord', 'frequentWord'] as const;
type PageKind = (typeof PAGE_KINDS)[number];
const TITLES: Record<PageKind, string> = {
  first: 'the first page',
  deep: 'a page from the middle',
  filtered: 'statuses: [FAILED]',
  rareWord: `search: "${RARE_WORD}" (in 30 prompts)`,
  frequentWord: `search: "${FREQUENT_WORD}" (in every eighth)`,
};

/**
 * Does a page cost the same however long the history is? Requests a page of 20 tasks through GraphQL over HTTP, one request at a
 * time, from a history of 100,000 tasks and from one of 1,000. Each has its own database and service on the same server, and the
 * requests alternate. Pages of both have the same number of images, so that only the length of the history differs.
 */
export const history: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader(`A page of 20 tasks: from a history of ${LONG_HISTORY} compared with one of ${SHORT_HISTORY}`);
  const scratch = await createScratch(release);
  const short = await prepare(SHORT_HISTORY, scratch, release);
  const long = await prepare(LONG_HISTORY, scratch, release);

  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) {
    for (const kind of PAGE_KINDS) await measurePairs(short[kind], long[kind]);
  }
  const rounds = emptyRounds();
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    for (const kind of PAGE_KINDS) rounds[kind].push(await measurePairs(short[kind], long[kind]));
  }

  const ratioOf = (kind: PageKind) => median(rounds[kind].map((round) => round.longMs / round.shortMs));
  printTable([
    ['median ms', `${SHORT_HISTORY} tasks`, `${LONG_HISTORY} tasks`, 'ratio'],
    ...PAGE_KINDS.map((kind) => [
      TITLES[kind],
      median(rounds[kind].map(({ shortMs }) => shortMs)).toFixed(2),
      median(rounds[kind].map(({ longMs }) => longMs)).toFixed(2),
      ratioOf(kind).toFixed(2),
    ]),
  ]);
  console.log(`${rounds.first.length} rounds of ${PAIRS} pairs each. Goal: ratios of at most ${GOAL}.`);
  const ratios = Object.fromEntries(PAGE_KINDS.map((kind) => [kind, roundTo(ratioOf(kind), 3)]));
  console.log(JSON.stringify({ bench: 'history', ...ratios }));
};

type FetchPage = () => Promise<TasksPage>;

/** Starts a service with a history of `count` tasks. Returns a function for each kind of page. */
async function prepare(
  count: number,
  scratch: Scratch,
  release: BenchOptions['release'],
): Promise<Record<PageKind, FetchPage>> {
  const databaseUrl = await scratch.database(`history_${count}`);
  const dataDir = scratch.folder(`data-${count}`);
  const service = await startService({ databaseUrl, dataDir, roles: 'api' }, release);
  await fillHistory(databaseUrl, count);
  const client = new GraphqlClient(service.url, service.apiKey, 1);
  release(() => client.close());
  const fetchPage = (variables: object) => () => client.query<TasksPage>(PAGE, variables);

  const { rows } = await withClient(databaseUrl, (admin) =>
    admin.query<{ at: Date }>('select created_at as at from tasks order by id desc offset $1 limit 1', [
      Math.floor(count / 2 / PERIOD) * PERIOD,
    ]),
  );
  const beforeMiddle = await fetchPage({ filter: { createdBefore: rows[0]?.at } })();
  const fetchPages = {
    first: fetchPage({}),
    deep: fetchPage({ after: beforeMiddle.tasks.pageInfo.endCursor }),
    filtered: fetchPage({ filter: { statuses: ['FAILED'] } }),
    rareWord: fetchPage({ filter: { search: RARE_WORD } }),
    frequentWord: fetchPage({ filter: { search: FREQUENT_WORD } }),
  };
  for (const kind of PAGE_KINDS) {
    const { tasks } = await fetchPages[kind]();
    if (tasks.nodes.length !== 20 || !tasks.pageInfo.hasNextPage)
      throw new Error(`The page "${kind}" is not full.`);
  }
  return fetchPages;
}

interface PairedTimes {
  shortMs: number;
  longMs: number;
}

/** Median latencies of PAIRS pairs. The side that goes first alternates. */
async function measurePairs(short: FetchPage, long: FetchPage): Promise<PairedTimes> {
  const shortMs: number[] = [];
  const longMs: number[] = [];
  for (let pair = 0; pair < PAIRS; pair += 1) {
    if (pair % 2 === 0) shortMs.push(await elapsedMs(short));
    longMs.push(await elapsedMs(long));
    if (pair % 2 === 1) shortMs.push(await elapsedMs(short));
  }
  return { shortMs: median(shortMs), longMs: median(longMs) };
}

async function elapsedMs(fetchPage: FetchPage): Promise<number> {
  const start = performance.now();
  await fetchPage();
  return performance.now() - start;
}

function emptyRounds(): Record<PageKind, PairedTimes[]> {
  return { first: [], deep: [], filtered: [], rareWord: [], frequentWord: [] };
}
