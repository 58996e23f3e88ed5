import { setTimeout as pause } from 'node:timers/promises';
import { type Bench, median, printHeader, printTable, roundTo } from './support/bench.js';
import { SandboxProcess } from './chaos/sandbox.js';
import { GraphqlClient } from './support/graphql-client.js';
import { rssMb } from './support/process-account.js';
import { createScratch, withClient } from './support/postgres.js';
import { type Service, startService } from './support/service.js';

const TASKS = 10_000;
/** For filling the queue. */
const CONNECTIONS = 16;
const SAMPLE_INTERVAL_MS = 1_000;
/** The smallest image of the fastest model without a delay, because the queue is measured. */
const INPUT = { prompt: 'a small cat [sandbox: delay=0s]', model: 'flux-2-klein', size: '64x64' };
const GENERATE = `mutation Generate($input: GenerateImagesInput!) {
  generateImages(input: $input) { task { id } userErrors { message } }
}`;

/** State of the queue at one time. */
interface Sample {
  atMs: number;
  submitted: number;
  finished: number;
  rssMb: number;
  inFlight: number;
}

/**
 * Does a long queue drain steadily, at the concurrency limit, with constant memory? An instance without a worker accepts
 * 10,000 tasks. Then a worker starts and is sampled every second until all tasks have finished and all images are stored.
 */
export const drain: Bench = async ({ release }) => {
  printHeader(`A queue of ${TASKS} tasks drained by one worker, with the sandbox on the same machine`);
  const scratch = await createScratch(release);
  const databaseUrl = await scratch.database('drain');
  const sandbox = await SandboxProcess.start(`${scratch.folder('sandbox')}.log`);
  release(() => sandbox.stop());
  const shared = { databaseUrl, dataDir: scratch.folder('data'), environment: sandbox.environment };

  const apiInstance = await startService({ ...shared, roles: 'api' }, release);
  await fillQueue(apiInstance);
  // Callbacks go to the API instance, and the worker only runs jobs.
  const environment = { ...sandbox.environment, PUBLIC_URL: apiInstance.url };
  const worker = await startService({ ...shared, roles: 'worker', environment }, release);
  const samples = await sampleUntilDrained(worker, databaseUrl);

  const lastFinalIndex = samples.findIndex(({ finished }) => finished === TASKS);
  const tenths = split(samples.slice(0, lastFinalIndex + 1), 10);
  printTable([
    ['tenth of the run', ...tenths.map((_, index) => String(index + 1))],
    ['submitted per second', ...tenths.map((tenth) => rateOf(tenth, 'submitted').toFixed(0))],
    ['finished per second', ...tenths.map((tenth) => rateOf(tenth, 'finished').toFixed(0))],
    ['requests in flight', ...tenths.map((tenth) => String(median(tenth.map(({ inFlight }) => inFlight))))],
    ['worker, MB', ...tenths.map((tenth) => Math.max(...tenth.map(({ rssMb }) => rssMb)).toFixed(0))],
  ]);
  const rates = tenths.map((tenth) => rateOf(tenth, 'finished'));
  const secondsOf = (sample: Sample | undefined) => roundTo((sample?.atMs ?? NaN) / 1000);
  console.log(
    JSON.stringify({
      bench: 'drain',
      tasks: TASKS,
      finishedSeconds: secondsOf(samples[lastFinalIndex]),
      storedSeconds: secondsOf(samples.at(-1)),
      slowestTenthToMedian: roundTo(Math.min(...rates) / median(rates), 2),
      rssMbSecondTenth: roundTo(Math.max(...(tenths[1] ?? []).map(({ rssMb }) => rssMb))),
      rssMbPeak: roundTo(Math.max(...samples.map(({ rssMb }) => rssMb))),
      inFlightMax: Math.max(...samples.map(({ inFlight }) => inFlight)),
    }),
  );
};

async function fillQueue({ url, apiKey }: Service): Promise<void> {
  const client = new GraphqlClient(url, apiKey, CONNECTIONS);
  let remaining = TASKS;
  const lane = async () => {
    while (remaining-- > 0) await client.query(GENERATE, { input: { ...INPUT, timeoutSeconds: 3_600 } });
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  await client.close();
}

async function sampleUntilDrained(worker: Service, databaseUrl: string): Promise<Sample[]> {
  const samples: Sample[] = [];
  const startedAt = Date.now();
  await withClient(databaseUrl, async (client) => {
    for (let settled = 0; settled < TASKS;) {
      await pause(SAMPLE_INTERVAL_MS);
      const { rows } = await client.query<{ submitted: number; finished: number; settled: number }>(
        `select count(*) filter (where attempts > 0)::int as submitted, count(finished_at)::int as finished,
                count(*) filter (where finished_at is not null and pending_images = 0)::int as settled from tasks`,
      );
      const response = await fetch(`${worker.url}/readyz`);
      const { upstream } = (await response.json()) as { upstream: { inFlight: number } };
      const { submitted, finished } = rows[0] ?? { submitted: 0, finished: 0 };
      settled = rows[0]?.settled ?? 0;
      samples.push({
        atMs: Date.now() - startedAt,
        submitted,
        finished,
        rssMb: rssMb(worker.pid),
        inFlight: upstream.inFlight,
      });
    }
  });
  return samples;
}

function rateOf(samples: readonly Sample[], count: 'submitted' | 'finished'): number {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || first === last) return 0;
  return (last[count] - first[count]) / ((last.atMs - first.atMs) / 1000);
}

/** Splits the samples into equal parts. Each begins with the last sample of the previous one, so that rates have no gaps. */
function split(samples: readonly Sample[], parts: number): Sample[][] {
  const edges = Array.from({ length: parts + 1 }, (_, index) =>
    Math.round((index * (samples.length - 1)) / parts),
  );
  return edges.slice(1).map((edge, index) => samples.slice(edges[index], edge + 1));
}
