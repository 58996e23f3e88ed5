import { AppError } from '../core/errors.js';
import { cachedFor } from '../core/primitives/async.js';
import { type Worker } from '../queue/worker.js';
import { type Dependencies } from './dependencies.js';

const STORE_CHECK_TTL_MS = 5_000;

/** Health of one component that an instance depends on. `error` says what is wrong. */
interface ComponentHealth {
  ok: boolean;
  error?: string;
}

export interface HealthDependencies extends Pick<Dependencies, 'store' | 'upstreamGate'> {
  /** Rejects when the database does not respond. */
  ping: () => Promise<void>;
  /** Null on an instance that runs no jobs. */
  worker: Worker | null;
}

/** Provides the body of `/readyz`. */
export class Health {
  private isDraining = false;
  /** Cached, because a check writes a file or sends a request that the bucket's provider may bill. */
  private readonly checkStore = cachedFor(STORE_CHECK_TTL_MS, () =>
    healthOf(() => this.deps.store.assertWritable()),
  );

  constructor(private readonly deps: HealthDependencies) {}

  /** Makes this instance unready, so that load balancers stop using it before its listeners close. */
  startDraining(): void {
    this.isDraining = true;
  }

  /** Whether this instance can work, with the health of each component. */
  async readiness() {
    const { ping, worker, upstreamGate } = this.deps;
    const components: Record<string, ComponentHealth> = { database: await healthOf(ping) };
    if (worker) {
      components.queue = worker.isRunning ? { ok: true } : { ok: false, error: 'the queue has stopped' };
    }
    if (this.isDraining) components.process = { ok: false, error: 'the process is shutting down' };
    const ready = Object.values(components).every(({ ok }) => ok);
    // Neither makes the instance unready. Without the store tasks continue, and ingesting is retried.
    return { ready, components, store: await this.checkStore(), upstream: upstreamGate.state };
  }
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
