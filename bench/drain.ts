import { setTimeout as pause } from 'node:timers/promises';
import { type Bench, median, printOccasion, printTable, rounded } from './support/bench.js';
import { SandboxProcess } from './chaos/sandbox.js';
import { GraphqlClient } from './support/graphql-client.js';
import { rssMb } from './support/process-account.js';
import { makeScratch, withClient } from './support/postgres.js';
import { type Service, startService } from './support/service.js';

const TASKS = 10_000;
/** Of them at a time, while the queue is filled. */
const CONNECTIONS = 16;
const LOOK_EVERY_MS = 1_000;
/** The smallest picture of the fastest model, at once: what is measured is the queue. */
const INPUT = { prompt: 'a small cat [sandbox: delay=0s]', model: 'flux-2-klein', size: '64x64' };
const GENERATE = `mutation Generate($input: GenerateImagesInput!) {
  generateImages(input: $input) { task { id } userErrors { message } }
}`;

/** How the queue stood at one look. */
interface Look {
  atMs: number;
  sent: number;
  ended: number;
  rssMb: number;
  inFlight: number;
}

/**
 * Does a long queue drain steadily, at the cap, in even memory? An instance without a worker takes 10,000 tasks; then one
 * with a worker starts and is looked at once a second until all of them have ended and all pictures are stored.
 */
export const drain: Bench = async ({ release }) => {
  printOccasion(`A queue of ${TASKS} tasks drained by one worker, the sandbox beside it`);
  const scratch = await makeScratch(release);
  const databaseUrl = await scratch.database('drain');
  const sandbox = await SandboxProcess.start(`${scratch.folder('sandbox')}.log`);
  release(() => sandbox.stop());
  const shared = { databaseUrl, dataDir: scratch.folder('data'), environment: sandbox.environment };

  const door = await startService({ ...shared, roles: 'api' }, release);
  await fill(door);
  // Callbacks go to the instance with the door; the worker takes the jobs alone.
  const environment = { ...sandbox.environment, PUBLIC_URL: door.url };
  const worker = await startService({ ...shared, roles: 'worker', environment }, release);
  const looks = await watch(worker, databaseUrl);

  const lastSentAt = looks.findIndex(({ ended }) => ended === TASKS);
  const tenths = split(looks.slice(0, lastSentAt + 1), 10);
  printTable([
    ['tenth of the draining', ...tenths.map((_, index) => String(index + 1))],
    ['sent a second', ...tenths.map((tenth) => rateOf(tenth, 'sent').toFixed(0))],
    ['ended a second', ...tenths.map((tenth) => rateOf(tenth, 'ended').toFixed(0))],
    ['requests in flight', ...tenths.map((tenth) => String(median(tenth.map(({ inFlight }) => inFlight))))],
    ['worker, MB', ...tenths.map((tenth) => Math.max(...tenth.map(({ rssMb }) => rssMb)).toFixed(0))],
  ]);
  const rates = tenths.map((tenth) => rateOf(tenth, 'ended'));
  const secondsOf = (look: Look | undefined) => rounded((look?.atMs ?? NaN) / 1000);
  console.log(
    JSON.stringify({
      bench: 'drain',
      tasks: TASKS,
      endedSeconds: secondsOf(looks[lastSentAt]),
      storedSeconds: secondsOf(looks.at(-1)),
      slowestTenthToMedian: rounded(Math.min(...rates) / median(rates), 2),
      rssMbSecondTenth: rounded(Math.max(...(tenths[1] ?? []).map(({ rssMb }) => rssMb))),
      rssMbPeak: rounded(Math.max(...looks.map(({ rssMb }) => rssMb))),
      inFlightMax: Math.max(...looks.map(({ inFlight }) => inFlight)),
    }),
  );
};

async function fill({ url, apiKey }: Service): Promise<void> {
  const client = new GraphqlClient(url, apiKey, CONNECTIONS);
  let left = TASKS;
  const lane = async () => {
    while (left-- > 0) await client.query(GENERATE, { input: { ...INPUT, timeoutSeconds: 3_600 } });
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  await client.close();
}

async function watch(worker: Service, databaseUrl: string): Promise<Look[]> {
  const looks: Look[] = [];
  const startedAt = Date.now();
  await withClient(databaseUrl, async (client) => {
    for (let settled = 0; settled < TASKS;) {
      await pause(LOOK_EVERY_MS);
      const { rows } = await client.query<{ sent: number; ended: number; settled: number }>(
        `select count(*) filter (where attempts > 0)::int as sent, count(finished_at)::int as ended,
                count(*) filter (where finished_at is not null and pending_images = 0)::int as settled from tasks`,
      );
      const answer = await fetch(`${worker.url}/readyz`);
      const { upstream } = (await answer.json()) as { upstream: { inFlight: number } };
      const { sent, ended } = rows[0] ?? { sent: 0, ended: 0 };
      settled = rows[0]?.settled ?? 0;
      looks.push({
        atMs: Date.now() - startedAt,
        sent,
        ended,
        rssMb: rssMb(worker.pid),
        inFlight: upstream.inFlight,
      });
    }
  });
  return looks;
}

function rateOf(looks: readonly Look[], what: 'sent' | 'ended'): number {
  const [first, last] = [looks[0], looks.at(-1)];
  if (!first || !last || first === last) return 0;
  return (last[what] - first[what]) / ((last.atMs - first.atMs) / 1000);
}

/** Even parts; each begins with the last look of the one before, so that rates have no holes. */
function split(looks: readonly Look[], parts: number): Look[][] {
  const edges = Array.from({ length: parts + 1 }, (_, index) =>
    Math.round((index * (looks.length - 1)) / parts),
  );
  return edges.slice(1).map((edge, index) => looks.slice(edges[index], edge + 1));
}
