import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type RegisterRelease } from '../support/releases.js';
import { PRICES, setBudgets } from './budgets.js';
import { ChaosClient } from './client.js';
import { collectEvidence, countUnfinished, type Evidence } from './evidence.js';
import { InstanceGroup } from './instances.js';
import { type RequestedTask, TASK_TIMEOUT_SECONDS } from './load.js';
import { measurePipeline } from './pipeline-floor.js';
import { ChaosPostgres } from './postgres.js';
import { SeededStream } from './random.js';
import { SandboxProcess } from './sandbox.js';
import { BucketStore, type ChaosStore, FolderStore, type StoreName } from './store.js';
import { TcpProxy } from './tcp-proxy.js';
import { judgeRun, type Unknowable, type Verdict } from './verdict.js';
import { WebhookEndpointServer } from './webhook-endpoint.js';

export interface ChaosWorldOptions {
  seed: number;
  /** How many instances of the service. */
  instances: number;
  /** For all files of the run, also the logs. */
  dir: string;
  store: StoreName;
  /** Variables of the instances, in addition to those that every run sets. */
  environment?: Record<string, string>;
}

/** Time after the last deadline. Tasks that have not finished by then count as lost. */
export const SETTLE_GRACE_MS = 30_000;
/** The upstream's longest delay plus the delay of a late callback, because results can arrive after a task has finished. */
const LATE_RESULTS_WAIT_MS = 10_000;
const SETTLE_CHECK_INTERVAL_MS = 500;

/** The service as it runs in production, and everything that it depends on, each as a process of its own. */
export class ChaosWorld {
  private constructor(
    readonly postgres: ChaosPostgres,
    readonly sandbox: SandboxProcess,
    readonly webhookEndpoint: WebhookEndpointServer,
    readonly instances: InstanceGroup,
    /** URL of the load balancer. */
    readonly url: string,
    readonly store: ChaosStore,
    readonly client: ChaosClient,
    /** Tasks whose upstream callback the service answered with 2xx, as the load balancer saw it. */
    private readonly acknowledgedCallbacks: ReadonlySet<string>,
    /** Images that a bare pipeline stores per second on this machine. */
    readonly pipelinePerSecond: number,
  ) {}

  /** Resolves when all instances are running on an empty database with budgets. */
  static async start(options: ChaosWorldOptions, release: RegisterRelease): Promise<ChaosWorld> {
    const { seed, dir } = options;
    const dataDir = join(dir, 'data');
    await mkdir(dataDir);
    const pricesFile = join(dir, 'prices.json');
    await writeFile(pricesFile, JSON.stringify(PRICES));
    const postgres = await ChaosPostgres.start(join(dir, 'database'));
    release(() => postgres.stop());
    const pipelinePerSecond = await measurePipeline(postgres, { dir: join(dir, 'floor'), release });
    const sandbox = await SandboxProcess.start(join(dir, 'sandbox.log'));
    release(() => sandbox.stop());
    const webhookEndpoint = await WebhookEndpointServer.open();
    release(() => webhookEndpoint.close());

    const store =
      options.store === 's3' ? await BucketStore.start(join(dir, 'bucket')) : new FolderStore(dataDir);
    release(() => store.stop());

    const instances = new InstanceGroup();
    const acknowledgedCallbacks = new Set<string>();
    const random = new SeededStream(seed, 'balancer');
    const balancer = await TcpProxy.open({
      targets: () => random.shuffle(instances.ports),
      onExchange: (requestLine, status) => {
        const [, taskId] = /^POST \/callbacks\/flux\/([^/]+)\//.exec(requestLine) ?? [];
        if (taskId && status >= 200 && status < 300) acknowledgedCallbacks.add(taskId);
      },
    });
    release(() => balancer.disconnect());
    release(() => instances.stop());
    const url = `http://127.0.0.1:${balancer.port}`;
    const environment = {
      ...sandbox.environment,
      ...store.environment,
      DATABASE_URL: postgres.url,
      DATA_DIR: dataDir,
      PUBLIC_URL: url,
      SECRET_KEY: 'chaos '.repeat(6),
      PRICES_FILE: pricesFile,
      ...options.environment,
    };
    await instances.start(options.instances, dir, environment);
    await setBudgets(url, instances.apiKey);
    const client = new ChaosClient(url, instances.apiKey);
    return new ChaosWorld(
      postgres,
      sandbox,
      webhookEndpoint,
      instances,
      url,
      store,
      client,
      acknowledgedCallbacks,
      pipelinePerSecond,
    );
  }

  /** Resolves when no work is left, or when the deadlines of all tasks have passed. */
  async waitUntilSettled(signal: AbortSignal): Promise<void> {
    const from = Date.now();
    const deadline = from + TASK_TIMEOUT_SECONDS * 1000 + SETTLE_GRACE_MS;
    while (Date.now() < deadline && !signal.aborted) {
      const unfinished = await countUnfinished(this.postgres);
      if (unfinished === 0 && Date.now() - from > LATE_RESULTS_WAIT_MS) return;
      await pause(SETTLE_CHECK_INTERVAL_MS);
    }
  }

  /** Checks the promises for all tasks that were requested so far. */
  async judge(
    requestedTasks: readonly RequestedTask[],
  ): Promise<{ evidence: Evidence; verdict: Verdict & { unknowable: Unknowable } }> {
    const evidence = await collectEvidence(this.postgres, this.sandbox);
    const verdict = await judgeRun(
      requestedTasks,
      evidence,
      this.acknowledgedCallbacks,
      this.webhookEndpoint.receivedCounts,
      (sha256) => this.store.size(sha256),
    );
    return { evidence, verdict };
  }
}
