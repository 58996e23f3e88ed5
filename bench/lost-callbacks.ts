import { setTimeout as pause } from 'node:timers/promises';
import { SandboxProcess } from './chaos/sandbox.js';
import { type Bench, printOccasion, printTable, quantile, rounded } from './support/bench.js';
import { GraphqlClient } from './support/graphql-client.js';
import { type OnRelease } from './support/releases.js';
import { makeScratch, type Scratch, withClient } from './support/postgres.js';
import { startService } from './support/service.js';

/** Tasks that run at the same time; the last is the most that the service is made for. */
const LOADS = [500, 750, 1_000];
const GOAL_SECONDS = 15;
const CONNECTIONS = 16;
/** They finish evenly over this stretch: a generation takes 5 s to 2 min. */
const FIRST_FINISH_SECONDS = 15;
const LAST_FINISH_SECONDS = 45;
const GENERATE = `mutation Generate($input: GenerateImagesInput!) {
  generateImages(input: $input) { task { id } userErrors { message } }
}`;

/** When a task ended here, and the name the upstream has for it. */
interface Ended {
  upstreamTaskId: string;
  finishedAt: Date;
}

/**
 * How soon is a result found whose callback never came? So many tasks run at once, not one callback is sent, and the time
 * from the upstream's finishing to the task's end is told.
 */
export const lostCallbacks: Bench = async ({ release }) => {
  printOccasion('From the upstream finishing to the end of a task whose callback was lost');
  const scratch = await makeScratch(release);
  const figures = [];
  for (const running of LOADS) figures.push({ running, ...(await measure(running, scratch, release)) });
  printTable([
    ['running', 'p50 s', 'p99 s', 'max s'],
    ...figures.map((row) => [row.running, row.p50, row.p99, row.max].map(String)),
  ]);
  console.log(`Goal: at most ${GOAL_SECONDS} s.`);
  console.log(JSON.stringify({ bench: 'lost-callbacks', figures }));
};

async function measure(running: number, scratch: Scratch, release: OnRelease) {
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
      const share = ((index * 7) % running) / running;
      const delay = FIRST_FINISH_SECONDS + share * (LAST_FINISH_SECONDS - FIRST_FINISH_SECONDS);
      const prompt = `a small cat [sandbox: delay=${Math.round(delay * 1000)}ms callback=lost]`;
      await client.query(GENERATE, { input: { prompt, model: 'flux-2-klein', size: '64x64' } });
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  await client.close();

  const ended = await allEnded(databaseUrl, running);
  const finished = await sandbox.finishTimes(ended.map(({ upstreamTaskId }) => upstreamTaskId));
  const waits = ended.map(
    ({ upstreamTaskId, finishedAt }) => (finishedAt.getTime() - (finished.get(upstreamTaskId) ?? NaN)) / 1000,
  );
  return {
    p50: rounded(quantile(waits, 0.5), 1),
    p99: rounded(quantile(waits, 0.99), 1),
    max: rounded(Math.max(...waits), 1),
  };
}

async function allEnded(databaseUrl: string, count: number): Promise<Ended[]> {
  return withClient(databaseUrl, async (client) => {
    for (;;) {
      const { rows } = await client.query<Ended>(
        `select upstream_task_id as "upstreamTaskId", finished_at as "finishedAt" from tasks where finished_at is not null`,
      );
      if (rows.length === count) return rows;
      await pause(500);
    }
  });
}
