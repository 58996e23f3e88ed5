import { setTimeout as pause } from 'node:timers/promises';
import { SandboxProcess } from './chaos/sandbox.js';
import { type Bench, printHeader, printTable, quantile, roundTo } from './support/bench.js';
import { GraphqlClient } from './support/graphql-client.js';
import { type RegisterRelease } from './support/releases.js';
import { createScratch, type Scratch, withClient } from './support/postgres.js';
import { startService } from './support/service.js';

/** Tasks running at the same time. The last is the highest number the service is designed for. */
const LOADS = [500, 750, 1_000];
const GOAL_SECONDS = 15;
const CONNECTIONS = 16;
/** The tasks finish evenly over this period, because a generation takes 5 s to 2 min. */
const FIRST_FINISH_SECONDS = 15;
const LAST_FINISH_SECONDS = 45;
const GENERATE = `mutation Generate($input: GenerateImagesInput!) {
  generateImages(input: $input) { task { id } userErrors { message } }
}`;

/** When the service finished a task, and its ID at the upstream. */
interface FinalTask {
  upstreamTaskId: string;
  finishedAt: Date;
}

/**
 * How soon is a result found when its callback is lost? Many tasks run at the same time, and no callback is sent. Measures the
 * time from when the upstream has finished a task until the service has finished it.
 */
export const lostCallbacks: Bench = async ({ release }) => {
  printHeader('From when the upstream finishes a task until the service does, with a lost callback');
  const scratch = await createScratch(release);
  const figures = [];
  for (const running of LOADS) figures.push({ running, ...(await measure(running, scratch, release)) });
  printTable([
    ['running', 'p50 s', 'p99 s', 'max s'],
    ...figures.map((row) => [row.running, row.p50, row.p99, row.max].map(String)),
  ]);
  console.log(`Goal: at most ${GOAL_SECONDS} s.`);
  console.log(JSON.stringify({ bench: 'lost-callbacks', figures }));
};

async function measure(running: number, scratch: Scratch, release: RegisterRelease) {
  const databaseUrl = await scratch.database(`lost_${running}`);
  const sandbox = await SandboxProcess.start(`${scratch.folder(`sandbox-${running}`)}.log`);
  release(() => sandbox.stop());
  const { environment } = sandbox;
  const dataDir = scratch.folder(`data-${running}`);
  const service = await startService({ databaseUrl, dataDir, roles: 'api,worker', environment }, release);

  const client = new GraphqlClient(service.url, service.apiKey, CONNECTIONS);
  let next = 0;
  const lane = async () => {
    for (let index = next++; index < running; index = next++) {
      const fraction = ((index * 7) % running) / running;
      const delay = FIRST_FINISH_SECONDS + fraction * (LAST_FINISH_SECONDS - FIRST_FINISH_SECONDS);
      const prompt = `a small cat [sandbox: delay=${Math.round(delay * 1000)}ms callback=lost]`;
      await client.query(GENERATE, { input: { prompt, model: 'flux-2-klein', size: '64x64' } });
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  await client.close();

  const finalTasks = await waitForFinalTasks(databaseUrl, running);
  const finished = await sandbox.finishTimes(finalTasks.map(({ upstreamTaskId }) => upstreamTaskId));
  const waitSeconds = finalTasks.map(
    ({ upstreamTaskId, finishedAt }) => (finishedAt.getTime() - (finished.get(upstreamTaskId) ?? NaN)) / 1000,
  );
  return {
    p50: roundTo(quantile(waitSeconds, 0.5), 1),
    p99: roundTo(quantile(waitSeconds, 0.99), 1),
    max: roundTo(Math.max(...waitSeconds), 1),
  };
}

async function waitForFinalTasks(databaseUrl: string, count: number): Promise<FinalTask[]> {
  return withClient(databaseUrl, async (client) => {
    for (;;) {
      const { rows } = await client.query<FinalTask>(
        `select upstream_task_id as "upstreamTaskId", finished_at as "finishedAt" from tasks where finished_at is not null`,
      );
      if (rows.length === count) return rows;
      await pause(500);
    }
  });
}
