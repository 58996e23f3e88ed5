import { fillHistory } from './history-fill.js';
import { type Bench, median, printHeader, printTable, roundTo } from './support/bench.js';
import { GraphqlClient } from './support/graphql-client.js';
import { type LoadResult, startLoad } from './support/load.js';
import { peersNode, startPeer } from './support/peer.js';
import { createScratch, withClient } from './support/postgres.js';
import { withOwnReleases } from './support/releases.js';
import { medianPerSecond } from './support/rounds.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 120;
const ROUNDS = 5;
const WARM_UP_SECONDS = 2;
const HISTORY = 100_000;
const SAMPLE = 1_000;

const SIDES = ['ours', 'postgraphile', 'mercurius'] as const;
type Side = (typeof SIDES)[number];
const KINDS = ['byId', 'page', 'filtered', 'history'] as const;
type Kind = (typeof KINDS)[number];

/** Limits that are counted but never reached, and the log level of an installation. */
const ENVIRONMENT = {
  LIMITS_PER_KEY: 'requestsPerMinute=1000000',
  LIMITS_PER_WORKSPACE: 'requestsPerMinute=1000000',
  LOG_LEVEL: 'info',
};

const TASK = 'id status prompt model createdAt';
const IMAGE = 'id index width height mimeType';
const EVENT = 'id type at actor';
/** The ID of a row is `rowId` there. */
const POSTGRAPHILE_TASK = 'id: rowId status prompt model createdAt';
const POSTGRAPHILE_IMAGES =
  'images: imagesByTaskId(orderBy: INDEX_ASC) { nodes { id: rowId index width height mimeType } }';
const POSTGRAPHILE_PAGE = `nodes { ${POSTGRAPHILE_TASK} ${POSTGRAPHILE_IMAGES} }`;
const TITLES: Record<Kind, string> = {
  byId: 'task(id:)',
  page: 'tasks(first: 20) with images',
  filtered: 'the same with statuses: [FAILED]',
  history: 'taskEvents(first: 50)',
};
/** The same fields and rows, as each server offers them. */
const DOCUMENTS: Record<Side, Record<Kind, string>> = {
  ours: {
    byId: `query Task($id: ID!) { task(id: $id) { ${TASK} } }`,
    page: `query Page { tasks(first: 20) { nodes { ${TASK} images { ${IMAGE} } } } }`,
    filtered: `query Page { tasks(first: 20, filter: { statuses: [FAILED] }) { nodes { ${TASK} images { ${IMAGE} } } } }`,
    history: `query Events { taskEvents(first: 50) { nodes { ${EVENT} } } }`,
  },
  postgraphile: {
    byId: `query Task($id: UUID!) { task: taskByRowId(rowId: $id) { ${POSTGRAPHILE_TASK} } }`,
    page: `query Page { tasks: allTasks(first: 20, orderBy: PRIMARY_KEY_DESC) { ${POSTGRAPHILE_PAGE} } }`,
    filtered: `query Page {
      tasks: allTasks(first: 20, orderBy: PRIMARY_KEY_DESC, condition: { status: FAILED }) { ${POSTGRAPHILE_PAGE} }
    }`,
    history: `query Events { taskEvents: allTaskEvents(first: 50, orderBy: POSITION_ASC) { nodes { id: rowId type at actor } } }`,
  },
  mercurius: {
    byId: `query Task($id: ID!) { task(id: $id) { ${TASK} } }`,
    page: `query Page { tasks(first: 20) { ${TASK} images { ${IMAGE} } } }`,
    filtered: `query Page { tasks(first: 20, status: "FAILED") { ${TASK} images { ${IMAGE} } } }`,
    history: `query Events { taskEvents(first: 50) { ${EVENT} } }`,
  },
};
const GOALS: Record<Kind, string> = {
  byId: '1.5 and 0.8',
  page: '1.2 and 0.8',
  filtered: '1.2 and 0.8',
  history: 'none',
};

/**
 * How many reads per second does Darkroom answer, beside servers that do nothing else? All run on the same Node.js and read the same
 * 100,000 tasks of one workspace from the same PostgreSQL, with 16 connections in a closed loop. Darkroom authenticates, counts
 * limits, restricts each read to the workspace by row-level security, and bounds its cost. PostGraphile generates its schema and its
 * SQL from the tables, and Mercurius compiles documents and has resolvers that were written by hand for exactly these reads. Both
 * read without authentication and as the owner of the tables.
 */
export const read: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader('Reads per second: Darkroom, PostGraphile, and Mercurius with hand-written resolvers');
  const scratch = await createScratch(release);
  const databaseUrl = await scratch.database('read');
  const dataDir = scratch.folder('data');
  const options = { databaseUrl, dataDir, roles: 'api', environment: ENVIRONMENT, node: peersNode() };
  const { url, apiKey } = await startService(options, release);
  await fillHistory(databaseUrl, HISTORY);
  const urls: Record<Side, string> = {
    ours: url,
    postgraphile: await startPeer('postgraphile.mjs', databaseUrl, release),
    mercurius: await startPeer('mercurius.mjs', databaseUrl, release),
  };
  const ids = await sampleIds(databaseUrl);
  const variables: Record<Kind, object[]> = {
    byId: ids.map((id) => ({ id })),
    ...{ page: [{}], filtered: [{}], history: [{}] },
  };
  for (const kind of KINDS) await assertSameAnswers(kind, urls, apiKey, variables[kind][0] ?? {});

  const secondsEach = seconds / KINDS.length / SIDES.length / ROUNDS;
  const figures: Partial<Record<Kind, Record<Side, number>>> = {};
  for (const kind of KINDS) {
    await withOwnReleases(release, async (own) => {
      const list = JSON.stringify(variables[kind]);
      const start = (side: Side) => startLoad(LOAD, [urls[side], apiKey, DOCUMENTS[side][kind], list], own);
      const loads = {
        ours: await start('ours'),
        postgraphile: await start('postgraphile'),
        mercurius: await start('mercurius'),
      };
      for (const side of SIDES) await loads[side].run(WARM_UP_SECONDS);
      const results: Record<Side, LoadResult[]> = { ours: [], postgraphile: [], mercurius: [] };
      for (let round = 0; round < ROUNDS; round += 1)
        for (let turn = 0; turn < SIDES.length; turn += 1) {
          const side = SIDES[(round + turn) % SIDES.length] ?? 'ours';
          results[side].push(await loads[side].run(secondsEach));
        }
      printTable([
        [TITLES[kind], ...results.ours.map((_, round) => String(round + 1)), 'median', 'ours by it'],
        ...SIDES.map((side) => [
          side,
          ...results[side].map(({ perSecond }) => perSecond.toFixed(0)),
          String(medianPerSecond(results[side])),
          ratioTo(results, side).toFixed(2),
        ]),
      ]);
      console.log(`Goals, by PostGraphile and by Mercurius: ${GOALS[kind]}.`);
      figures[kind] = {
        ours: medianPerSecond(results.ours),
        postgraphile: medianPerSecond(results.postgraphile),
        mercurius: medianPerSecond(results.mercurius),
      };
    });
  }
  console.log(JSON.stringify({ bench: 'read', ...figures }));
};

const LOAD = new URL('./read-load.js', import.meta.url);

/** The median of the ratios of all rounds. */
function ratioTo(results: Record<Side, LoadResult[]>, side: Side): number {
  const ratios = results.ours.map(
    ({ perSecond }, round) => perSecond / (results[side][round]?.perSecond ?? NaN),
  );
  return roundTo(median(ratios), 2);
}

async function sampleIds(databaseUrl: string): Promise<string[]> {
  const { rows } = await withClient(databaseUrl, (client) =>
    client.query<{ id: string }>('select id from tasks order by md5(id::text) limit $1', [SAMPLE]),
  );
  return rows.map(({ id }) => id);
}

/** Servers that answer with other rows or fields cannot be compared. */
async function assertSameAnswers(
  kind: Kind,
  urls: Record<Side, string>,
  apiKey: string,
  variables: object,
): Promise<void> {
  const answers = await Promise.all(
    SIDES.map(async (side) => {
      const client = new GraphqlClient(urls[side], apiKey, 1);
      const data = await client.query<object>(DOCUMENTS[side][kind], variables);
      await client.close();
      return JSON.stringify(withoutConnections(data));
    }),
  );
  if (new Set(answers).size > 1)
    throw new Error(`The servers answer ${kind} differently:\n${answers.join('\n')}`);
}

/** Lists instead of connections, sorted keys, and times in one form. */
function withoutConnections(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutConnections);
  if (typeof value !== 'object' || value === null)
    return typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) ? Date.parse(value) : value;
  if ('nodes' in value) return withoutConnections(value.nodes);
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, inner]) => [key, withoutConnections(inner)]),
  );
}
