import { setTimeout as pause } from 'node:timers/promises';
import { type JobStartCommand, type JobStarts } from './job-start-worker.js';
import { type Bench, median, printHeader, printTable, quantile, roundTo } from './support/bench.js';
import { GraphqlClient } from './support/graphql-client.js';
import { type HelperProcess, startHelper } from './support/helper.js';
import { createScratch, openClient } from './support/postgres.js';
import { startService } from './support/service.js';

const DEFAULT_SECONDS = 30;
const ROUNDS = 5;
const PER_SECOND = 20;
const WARM_UP_JOBS = 40;
/** Longer than the poll takes to find a job whose notification was lost. */
const SETTLE_MS = 500;
const GOAL_P50_MS = 15;

const WORKER = new URL('./job-start-worker.js', import.meta.url);
const GENERATE = `mutation Generate($input: GenerateImagesInput!) {
  generateImages(input: $input) { task { id } userErrors { message } }
}`;

interface Side {
  worker: HelperProcess<JobStartCommand, JobStarts>;
  /** Adds a job and returns its task ID, and when its transaction began, in milliseconds since the epoch. */
  add: () => Promise<{ id: string; at: number }>;
}

/**
 * How soon after a task is created at one instance does its job start at another? The time begins with the transaction that adds
 * the job. Ours inserts a task with its event and its job, without a notification, and the other instance looks for jobs when the
 * event is sealed. Beside it, graphile-worker as it ships adds a job with a notification, and nothing else.
 */
export const jobStart: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader(
    `From the creation of a task at one instance to its job at another, at ${PER_SECOND} per second`,
  );
  const scratch = await createScratch(release);
  const databaseUrl = await scratch.database('job_start');
  const floorUrl = await scratch.database('job_start_floor');
  const dataDir = scratch.folder('data');
  const service = await startService({ databaseUrl, dataDir, roles: 'api' }, release);
  const client = new GraphqlClient(service.url, service.apiKey, 1);
  release(() => client.close());
  const sql = await openClient(databaseUrl, release);
  const sides: Record<'ours' | 'floor', Side> = {
    ours: {
      worker: await startHelper(WORKER, ['ours', databaseUrl], release),
      add: async () => {
        const data = await client.query(GENERATE, { input: { prompt: 'a small cat' } });
        const { id } = (data as { generateImages: { task: { id: string } } }).generateImages.task;
        const { rows } = await sql.query<{ at: Date }>('select created_at as at from tasks where id = $1', [
          id,
        ]);
        return { id, at: rows[0]?.at.getTime() ?? NaN };
      },
    },
    floor: await floorSide(floorUrl, release),
  };
  for (const side of Object.values(sides)) await measure(side, WARM_UP_JOBS);

  const jobs = Math.ceil((seconds / ROUNDS / 2) * PER_SECOND);
  const delays: Record<keyof typeof sides, number[][]> = { ours: [], floor: [] };
  for (let round = 0; round < ROUNDS; round += 1) {
    const order = round % 2 === 0 ? (['ours', 'floor'] as const) : (['floor', 'ours'] as const);
    for (const side of order) delays[side].push(await measure(sides[side], jobs));
  }
  const p50s = { ours: delays.ours.map(p50), floor: delays.floor.map(p50) };
  const row = (name: string, side: keyof typeof sides) => [
    name,
    ...p50s[side].map((ms) => ms.toFixed(1)),
    median(p50s[side]).toFixed(1),
    quantile(delays[side].flat(), 0.99).toFixed(1),
  ];
  printTable([
    ['p50 ms, by round', ...p50s.ours.map((_, round) => String(round + 1)), 'median', 'p99 of all'],
    row('task to job', 'ours'),
    row('graphile-worker as it ships', 'floor'),
  ]);
  console.log(`Goal: a p50 of at most ${GOAL_P50_MS} ms.`);
  console.log(
    JSON.stringify({
      bench: 'job-start',
      p50Ms: roundTo(median(p50s.ours), 1),
      p99Ms: roundTo(quantile(delays.ours.flat(), 0.99), 1),
      floorP50Ms: roundTo(median(p50s.floor), 1),
      floorP99Ms: roundTo(quantile(delays.floor.flat(), 0.99), 1),
    }),
  );
};

async function floorSide(url: string, release: Parameters<typeof startHelper>[2]): Promise<Side> {
  const worker = await startHelper<JobStartCommand, JobStarts>(WORKER, ['floor', url], release);
  const sql = await openClient(url, release);
  let count = 0;
  const add = async () => {
    const id = String((count += 1));
    const { rows } = await sql.query<{ at: Date }>(
      `select now() as at, graphile_worker.add_job('submit-task', json_build_object('taskId', $1::text))`,
      [id],
    );
    return { id, at: rows[0]?.at.getTime() ?? NaN };
  };
  return { worker, add };
}

/** Milliseconds from adding to starting, of each job. */
async function measure({ worker, add }: Side, count: number): Promise<number[]> {
  const added: { id: string; at: number }[] = [];
  for (let job = 0; job < count; job += 1) {
    const next = pause(1000 / PER_SECOND);
    added.push(await add());
    await next;
  }
  await pause(SETTLE_MS);
  const starts = await worker.call({});
  return added.map(({ id, at }) => (starts[id] ?? Infinity) - at);
}

function p50(delays: readonly number[]): number {
  return quantile(delays, 0.5);
}
