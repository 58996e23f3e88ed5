import { DeafnessMeter } from './deafness.js';
import { type PlannedFault } from './fault-plan.js';
import { countEach } from './group.js';
import { FaultInjector } from './injector.js';
import { type RequestedTask, runLoad } from './load.js';
import { type ChaosOptions } from './options.js';
import { measureRecovery } from './recovery.js';
import { measureAnswerTime, measureStoringRate } from './recovery-floor.js';
import { type ChaosResult } from './report.js';
import { type ChaosWorld } from './world.js';

/** Creates tasks at a steady rate while the planned faults happen, waits until everything has settled, and checks the promises. */
export async function runUnderFaults(
  world: ChaosWorld,
  options: ChaosOptions & { rate: number },
  plan: readonly PlannedFault[],
  signal: AbortSignal,
): Promise<ChaosResult> {
  const { seed, seconds, rate } = options;
  const { postgres, sandbox, store, client, instances, url, webhookEndpoint } = world;
  const startedAt = Date.now();
  const logLine = (line: string) =>
    console.log(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)} s  ${line}`);
  const injector = new FaultInjector(seed, {
    ...{ instances, postgres, sandbox, store, client },
    ...{ runSeconds: seconds, logLine, signal },
  });
  const requestedTasks: RequestedTask[] = [];
  const deafness = new DeafnessMeter(postgres);
  const settled = new AbortController();
  const measuring = deafness.run(AbortSignal.any([settled.signal, signal]));
  const load = { seed, seconds, rate, url, apiKey: () => client.apiKey, webhookUrl: webhookEndpoint.url };
  await Promise.all([runLoad({ ...load, signal }, requestedTasks), injector.run(plan)]);
  logLine('no more load and faults; waiting for everything to settle');
  await world.waitUntilSettled(signal);
  logLine('settled');
  settled.abort();
  await measuring;

  const { evidence, verdict } = await world.judge(requestedTasks);
  return {
    options,
    startedAt,
    faults: injector.faults,
    events: evidence.events,
    requestedTasks,
    statuses: countEach(evidence.tasks.map(({ status }) => status)),
    verdict,
    recoveries: measureRecovery(injector.faults, evidence),
    unexpectedExits: instances.unexpectedExits,
    deafSecondsMax: deafness.max,
    deafUntilSecond: deafness.maxAt && (deafness.maxAt - startedAt) / 1000,
    answerSecondsMax: measureAnswerTime(injector.faults, deafness.answerTimes),
    pipelinePerSecond: world.pipelinePerSecond,
    storedPerSecondMax: measureStoringRate(evidence.events),
    leftOut: [...injector.leftOut],
    seconds: (Date.now() - startedAt) / 1000,
  };
}
