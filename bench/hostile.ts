import { setTimeout as pause } from 'node:timers/promises';
import { getPriority, setPriority } from 'node:os';
import { Signer } from '../src/core/access/signer.js';
import { newId } from '../src/core/primitives/ids.js';
import { type AttackersCommand } from './hostile-attackers.js';
import { type CallersCommand, type CallersResult } from './hostile-callers.js';
import { type Bench, printHeader, printTable, roundTo } from './support/bench.js';
import { GraphqlClient } from './support/graphql-client.js';
import { startHelper } from './support/helper.js';
import { createScratch } from './support/postgres.js';
import { cpuMs, peakRssMb, resetPeakRss, rssMb } from './support/process-account.js';
import { callbackPath } from './support/running-tasks.js';
import { startService } from './support/service.js';

const HOSTILE_CONNECTIONS = 200;
const DEFAULT_SECONDS = 20;
const WARM_UP_SECONDS = 3;
/** Half of them create a task, and the others read one. */
const CALLS_PER_SECOND = 40;
/** Until the attackers have filled what they can. */
const ATTACK_LEAD_MS = 2_000;
/** Added to the priority of the other processes. Higher numbers get less of a processor. */
const ATTACKERS_PRIORITY = 10;
const GOAL_GROWTH_MB = 100;
const GOAL_P99_MS = 100;
const SECRET = 'a secret only for this benchmark, 32 bytes and more';

const ATTACKERS = new URL('./hostile-attackers.js', import.meta.url);
const CALLERS = new URL('./hostile-callers.js', import.meta.url);
const CREATE_UPLOAD = 'mutation { createUpload(input: {}) { upload { url } } }';

/**
 * What do 200 hostile connections take from ordinary callers? They are opened by a process of their own, of each kind in
 * support/hostile-kinds.ts. Beside them ordinary callers create and read tasks at a steady rate, and a subscriber receives every event.
 * The floor is the same callers without attackers, before, at the same instance. Memory is the peak of the resident memory during the
 * attack minus what was resident before it.
 *
 * The service shares its processors with its attackers here, which it does not in an installation. So two things are limited, and the
 * table shows what the attackers used. A connection that was cut is opened again after about a second, because the rate of new
 * connections is what a reverse proxy limits (`limit_conn` and `limit_req` of nginx, the stick tables of HAProxy), and no program behind
 * it can. All of them open at once in the beginning. And the attackers run at a lower priority than the service, so that they get what
 * it leaves: compare the numbers of opened connections, which tell whether they got anything.
 */
export const hostile: Bench = async ({ seconds = DEFAULT_SECONDS, release }) => {
  printHeader(`${HOSTILE_CONNECTIONS} hostile connections beside ordinary callers`);
  const scratch = await createScratch(release);
  const options = { roles: 'api', environment: { SECRET_KEY: SECRET }, dataDir: scratch.folder('data') };
  const service = await startService({ ...options, databaseUrl: await scratch.database('hostile') }, release);
  const { url, apiKey, pid } = service;
  const callers = await startHelper<CallersCommand, CallersResult>(CALLERS, [url, apiKey], release);
  const target = JSON.stringify({
    port: Number(new URL(url).port),
    apiKey,
    callbackPath: callbackPath(new Signer(Buffer.from(SECRET)), newId()),
    uploadPath: await createUploadPath(url, apiKey),
  });
  const attackers = await startHelper<AttackersCommand, Record<string, number>>(ATTACKERS, [target], release);
  setPriority(attackers.pid, Math.min(19, getPriority() + ATTACKERS_PRIORITY));

  const load = { seconds, perSecond: CALLS_PER_SECOND };
  await callers.call({ ...load, seconds: WARM_UP_SECONDS });
  const measure = async () => {
    const start = performance.now();
    const [cpu, attackersCpu] = [cpuMs(pid), cpuMs(attackers.pid)];
    const result = await callers.call(load);
    const elapsedMs = performance.now() - start;
    return {
      ...result,
      cpuShare: (cpuMs(pid) - cpu) / elapsedMs,
      attackersCpuShare: (cpuMs(attackers.pid) - attackersCpu) / elapsedMs,
    };
  };
  const floor = await measure();
  const memoryMb = rssMb(pid);
  resetPeakRss(pid);
  await attackers.call({ count: HOSTILE_CONNECTIONS });
  await pause(ATTACK_LEAD_MS);
  const attacked = await measure();
  const peakMb = peakRssMb(pid);
  const opened = await attackers.call({ count: 0 });

  const row = (name: string, of: (side: typeof floor) => string) => [name, of(floor), of(attacked)];
  printTable([
    ['ordinary callers', 'alone', 'under attack'],
    row('calls', ({ callCount }) => String(callCount)),
    row('failed', ({ failedCount }) => String(failedCount)),
    row('p50 ms', ({ p50Ms }) => p50Ms.toFixed(1)),
    row('p99 ms', ({ p99Ms }) => p99Ms.toFixed(1)),
    row('p99 ms of events', ({ eventP99Ms }) => eventP99Ms.toFixed(1)),
    row('processors used by the service', ({ cpuShare }) => cpuShare.toFixed(2)),
    row('processors used by the attackers', ({ attackersCpuShare }) => attackersCpuShare.toFixed(2)),
  ]);
  printTable([
    ['connections opened, by kind', ''],
    ...Object.entries(opened).map(([kind, count]) => [kind, String(count)]),
  ]);
  const memoryGrowthMb = roundTo(peakMb - memoryMb, 1);
  console.log(`Resident memory: ${memoryMb.toFixed(0)} MB before, ${memoryGrowthMb} MB more at its peak.`);
  console.log(
    `Goals: less than ${GOAL_GROWTH_MB} MB more, no failed call, and a p99 below ${GOAL_P99_MS} ms.`,
  );
  const p99Ms = roundTo(attacked.p99Ms, 1);
  const floorP99Ms = roundTo(floor.p99Ms, 1);
  const ratio = roundTo(attacked.p99Ms / floor.p99Ms, 2);
  console.log(
    JSON.stringify({
      bench: 'hostile',
      memoryGrowthMb,
      p99Ms,
      floorP99Ms,
      ratio,
      failed: attacked.failedCount,
    }),
  );
};

async function createUploadPath(url: string, apiKey: string): Promise<string> {
  const client = new GraphqlClient(url, apiKey, 1);
  const { createUpload } = await client.query<{ createUpload: { upload: { url: string } } }>(
    CREATE_UPLOAD,
    {},
  );
  await client.close();
  const { pathname, search } = new URL(createUpload.upload.url);
  return pathname + search;
}
