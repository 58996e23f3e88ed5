import { performance } from 'node:perf_hooks';
import { fillHistory, FREQUENT_WORD, PERIOD, RARE_WORD } from './history-fill.js';
import {
  type Bench,
  type BenchOptions,
  median,
  printOccasion,
  printTable,
  rounded,
} from './support/bench.js';
import { GraphqlClient } from './support/graphql-client.js';
import { makeScratch, type Scratch, withClient } from './support/postgres.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 20;
const SHORT = 1_000;
const LONG = 100_000;
/** Pairs of queries of one kind in a row; a round is that many of each kind. */
const PAIRS = 10;
/** Until the services' code is compiled and Postgres has chosen its plans. */
const WARM_UP_ROUNDS = 5;
const GOAL = 1.2;

/** What a gallery or a history table shows. */
const PAGE = `query Page($after: String, $filter: TaskFilter) {
  tasks(first: 20, after: $after, filter: $filter) {
    nodes { id status prompt createdAt images { url } }
    pageInfo { hasNextPage endCursor }
  }
}`;

interface Page {
  tasks: { nodes: { id: string }[]; pageInfo: { hasNextPage: boolean; endCursor: string } };
}

const KINDS = ['first', 'deep', 'filtered', 'rareWord', 'frequentWord'] as const;
type Kind = (typeof KINDS)[number];
const TITLES: Record<Kind, string> = {
  first: 'the first page',
  deep: 'a page from the middle',
  filtered: 'statuses: [FAILED]',
  rareWord: `search: "${RARE_WORD}" (in 30 prompts)`,
  frequentWord: `search: "${FREQUENT_WORD}" (in every eighth)`,
};

/**
 * Does a page cost the same however long the history is? A page of 20 through GraphQL over HTTP, one request at a time,
 * from a history of 100,000 tasks against one of 1,000: each in a database with a service of its own, on one server, asked
 * in turns. Pages of the two hold as many pictures, so that only the length differs.
 */
export const history: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printOccasion(`A page of 20 tasks: from a history of ${LONG} against one of ${SHORT}`);
  const scratch = await makeScratch(release);
  const short = await prepare(SHORT, scratch, release);
  const long = await prepare(LONG, scratch, release);

  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) {
    for (const kind of KINDS) await measurePairs(short[kind], long[kind]);
  }
  const rounds = emptyRounds();
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    for (const kind of KINDS) rounds[kind].push(await measurePairs(short[kind], long[kind]));
  }

  const ratioOf = (kind: Kind) => median(rounds[kind].map((round) => round.longMs / round.shortMs));
  printTable([
    ['median ms', `${SHORT} tasks`, `${LONG} tasks`, 'ratio'],
    ...KINDS.map((kind) => [
      TITLES[kind],
      median(rounds[kind].map(({ shortMs }) => shortMs)).toFixed(2),
      median(rounds[kind].map(({ longMs }) => longMs)).toFixed(2),
      ratioOf(kind).toFixed(2),
    ]),
  ]);
  console.log(`${rounds.first.length} rounds of ${PAIRS} pairs each. Goal: ratios of at most ${GOAL}.`);
  const ratios = Object.fromEntries(KINDS.map((kind) => [kind, rounded(ratioOf(kind), 3)]));
  console.log(JSON.stringify({ bench: 'history', ...ratios }));
};

type Ask = () => Promise<Page>;

/** A service on a history of `count` tasks, and how each kind of page is asked of it. */
async function prepare(
  count: number,
  scratch: Scratch,
  release: BenchOptions['release'],
): Promise<Record<Kind, Ask>> {
  const databaseUrl = await scratch.database(`history_${count}`);
  const dataDir = scratch.folder(`data-${count}`);
  const service = await startService({ databaseUrl, dataDir, roles: 'api' }, release);
  await fillHistory(databaseUrl, count);
  const client = new GraphqlClient(service.url, service.apiKey, 1);
  release(() => client.close());
  const ask = (variables: object) => () => client.query<Page>(PAGE, variables);

  const { rows } = await withClient(databaseUrl, (admin) =>
    admin.query<{ at: Date }>('select created_at as at from tasks order by id desc offset $1 limit 1', [
      Math.floor(count / 2 / PERIOD) * PERIOD,
    ]),
  );
  const beforeMiddle = await ask({ filter: { createdBefore: rows[0]?.at } })();
  const asks = {
    first: ask({}),
    deep: ask({ after: beforeMiddle.tasks.pageInfo.endCursor }),
    filtered: ask({ filter: { statuses: ['FAILED'] } }),
    rareWord: ask({ filter: { search: RARE_WORD } }),
    frequentWord: ask({ filter: { search: FREQUENT_WORD } }),
  };
  for (const kind of KINDS) {
    const { tasks } = await asks[kind]();
    if (tasks.nodes.length !== 20 || !tasks.pageInfo.hasNextPage)
      throw new Error(`"${kind}" is no full page.`);
  }
  return asks;
}

interface Round {
  shortMs: number;
  longMs: number;
}

/** Median latencies of PAIRS pairs; who goes first changes with each pair. */
async function measurePairs(short: Ask, long: Ask): Promise<Round> {
  const shortMs: number[] = [];
  const longMs: number[] = [];
  for (let pair = 0; pair < PAIRS; pair += 1) {
    if (pair % 2 === 0) shortMs.push(await elapsedMs(short));
    longMs.push(await elapsedMs(long));
    if (pair % 2 === 1) shortMs.push(await elapsedMs(short));
  }
  return { shortMs: median(shortMs), longMs: median(longMs) };
}

async function elapsedMs(ask: Ask): Promise<number> {
  const start = performance.now();
  await ask();
  return performance.now() - start;
}

function emptyRounds(): Record<Kind, Round[]> {
  return { first: [], deep: [], filtered: [], rareWord: [], frequentWord: [] };
}
