import { AppError, StoreUnavailable } from '../../core/errors.js';
import { cachedFor, singleFlight, TIMED_OUT, withTimeout } from '../../core/primitives/async.js';
import { type CatalogRepository } from '../../db/postgres/catalog-repository.js';
import { type Worker } from '../../queue/worker.js';
import { type SpoolState } from '../../storage/spool-drain.js';
import { type Dependencies } from '../dependencies.js';

const STORE_CHECK_TTL_MS = 5_000;
/** A check is several operations, each with a limit of its own. A probe waits for the sum of them. */
const STORE_CHECK_TIMEOUT_MS = 5_000;
const UPSTREAM_CHECK_TTL_MS = 1_000;
/** Even a busy installation needs years for the other half, and changing a column takes a maintenance window. */
const MAX_SEQUENCE_USE_PERCENT = 50;
const SEQUENCE_CHECK_TTL_MS = 3_600_000;
/** After a check that failed. */
const SEQUENCE_CHECK_RETRY_MS = 10_000;
/** A part without progress for this long makes the instance unready. The parts replace what hangs sooner. */
const STALLED_AFTER_MS = 10_000;

/** Health of one component that an instance depends on. `error` says what is wrong. */
interface ComponentHealth {
  ok: boolean;
  error?: string;
}

export interface HealthDependencies extends Pick<
  Dependencies,
  'eventLog' | 'store' | 'submissionPace' | 'upstreamGate'
> {
  /** Rejects when the database does not respond. */
  ping: () => Promise<void>;
  catalog: CatalogRepository;
  /** What keeps something on the disk of this instance. */
  spools: readonly { spoolState: SpoolState }[];
  /** Null on an instance that runs no jobs. */
  worker: Worker | null;
}

/** Provides the body of `/readyz`. */
export class Health {
  private isDraining = false;
  /** Shared by requests at the same time, because anyone may send them. */
  private readonly checkDatabase = singleFlight(() => healthOf(() => this.deps.ping()));
  /** Cached, because a check writes a file or sends a request that the bucket's provider may bill. */
  private readonly checkStore = cachedFor(STORE_CHECK_TTL_MS, () =>
    healthOf(async () => {
      if ((await withTimeout(this.deps.store.assertWritable(), STORE_CHECK_TIMEOUT_MS)) === TIMED_OUT)
        throw new StoreUnavailable(`it did not respond within ${STORE_CHECK_TIMEOUT_MS / 1_000} s`);
    }),
  );

  private readonly checkUpstream = cachedFor(UPSTREAM_CHECK_TTL_MS, async () => {
    const { kind, failure, refusedAt, submissionsPerSecond } = await this.deps.submissionPace.find();
    if (kind === null) return { ok: true };
    return { ok: kind !== 'ACCOUNT', error: failure?.code, refusedAt, submissionsPerSecond };
  });

  private sequences: ComponentHealth = { ok: true };
  private sequencesCheckedAt = -Infinity;
  private readonly checkSequences = singleFlight(async (): Promise<void> => {
    this.sequencesCheckedAt = performance.now();
    try {
      const found = await this.deps.catalog.findSequencesRunningOut(MAX_SEQUENCE_USE_PERCENT);
      const error = found.map(({ name, usedPercent }) => `${name} is ${usedPercent} % used`).join(', ');
      this.sequences = found.length === 0 ? { ok: true } : { ok: false, error };
    } catch {
      this.sequences = { ok: false, error: 'unknown' };
      this.sequencesCheckedAt += SEQUENCE_CHECK_RETRY_MS - SEQUENCE_CHECK_TTL_MS;
    }
  });

  constructor(private readonly deps: HealthDependencies) {
    void this.checkSequences();
  }

  /** Makes this instance unready, so that load balancers stop using it before its listeners close. */
  startDraining(): void {
    this.isDraining = true;
  }

  /** Whether this instance can work, with the health of each component. */
  async readiness() {
    const { eventLog, worker, upstreamGate } = this.deps;
    // At the same time: each of them can take its whole time limit.
    const [database, upstream, store] = await Promise.all([
      this.checkDatabase(),
      this.checkUpstream().catch(() => ({ ok: false, error: 'unknown' })),
      this.checkStore(),
    ]);
    const components: Record<string, ComponentHealth> = { database };
    for (const [name, stalledMs] of Object.entries({ ...eventLog.stalledMs, ...worker?.stalledMs }))
      components[name] = progressOf(stalledMs);
    if (worker && !worker.isRunning) components.queue = { ok: false, error: 'the queue has stopped' };
    if (this.isDraining) components.process = { ok: false, error: 'the process is shutting down' };
    const ready = Object.values(components).every(({ ok }) => ok);
    // Never awaited: the reading can wait for the connections of background work.
    if (performance.now() - this.sequencesCheckedAt > SEQUENCE_CHECK_TTL_MS) void this.checkSequences();
    // These do not make the instance unready. Without the store tasks continue, and ingesting is retried.
    return {
      ready,
      components,
      store,
      sequences: this.sequences,
      spool: this.spoolHealth(),
      upstream: { ...upstreamGate.state, ...upstream },
    };
  }

  /** What waits during an outage is as it should be. */
  private spoolHealth(): ComponentHealth & SpoolState {
    const states = this.deps.spools.map(({ spoolState }) => spoolState);
    const waiting = states.reduce((sum, state) => sum + state.waiting, 0);
    const failed = states.reduce((sum, state) => sum + state.failed, 0);
    return { ok: failed === 0, waiting, failed };
  }
}

/** Judges a part that works in the background by what it does, because a part that hangs still exists. */
function progressOf(stalledMs: number): ComponentHealth {
  if (stalledMs < STALLED_AFTER_MS) return { ok: true };
  return { ok: false, error: `no progress for ${Math.floor(stalledMs / 1_000)} s` };
}

async function healthOf(check: () => Promise<void>): Promise<ComponentHealth> {
  try {
    await check();
    return { ok: true };
  } catch (error) {
    // Messages of unknown errors may hold secrets, so they are not shown.
    return { ok: false, error: error instanceof AppError ? error.message : 'an unexpected error occurred' };
  }
}
