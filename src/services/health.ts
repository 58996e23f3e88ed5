import { AppError } from '../core/errors.js';
import { type Database } from '../db/postgres/database.js';
import { type ImageStore } from '../storage/image-store.js';
import { type UpstreamGateState, type UpstreamGate } from '../upstreams/upstream-gate.js';
import { type Worker } from '../queue/worker.js';

const STORE_CHECK_TTL_MS = 5_000;

/** Health of one component that an instance depends on. `error` says what is wrong. */
interface ComponentHealth {
  ok: boolean;
  error?: string;
}

/** Whether this instance can work, with the health of each component. */
export interface Readiness {
  ready: boolean;
  components: Record<string, ComponentHealth>;
  /**
   * Whether images can be stored. A failure does not make the instance unready: tasks continue, and ingesting is
   * retried.
   */
  store: ComponentHealth;
  /** For operators. An upstream that is down does not make the instance unready. */
  upstream: UpstreamGateState;
}

/** Provides the body of `/readyz`. */
export class Health {
  private isDraining = false;
  private storeCheck = { health: Promise.resolve<ComponentHealth>({ ok: true }), until: 0 };

  constructor(
    private readonly db: Database,
    private readonly upstreamGate: UpstreamGate,
    private readonly store: ImageStore,
    /** Null on an instance that runs no jobs. */
    private readonly worker: Worker | null,
  ) {}

  /** Makes this instance unready, so that load balancers stop using it before its listeners close. */
  startDraining(): void {
    this.isDraining = true;
  }

  async readiness(): Promise<Readiness> {
    const components: Readiness['components'] = { database: await this.checkDatabase() };
    if (this.worker) {
      components.queue = this.worker.isRunning ? { ok: true } : { ok: false, error: 'the queue has stopped' };
    }
    if (this.isDraining) components.process = { ok: false, error: 'the process is shutting down' };
    const ready = Object.values(components).every(({ ok }) => ok);
    return { ready, components, store: await this.checkStore(), upstream: this.upstreamGate.state };
  }

  /**
   * Cached for a few seconds, because a check writes a file or sends a request that the bucket's provider may bill.
   */
  private checkStore(): Promise<ComponentHealth> {
    const now = Date.now();
    if (now > this.storeCheck.until) {
      const health = this.store.assertWritable().then(
        () => ({ ok: true }),
        (error: unknown) => ({
          ok: false,
          error: messageOf(error),
        }),
      );
      this.storeCheck = { health, until: now + STORE_CHECK_TTL_MS };
    }
    return this.storeCheck.health;
  }

  private async checkDatabase(): Promise<ComponentHealth> {
    try {
      await this.db.ping();
      return { ok: true };
    } catch (error) {
      return { ok: false, error: messageOf(error) };
    }
  }
}

/** Messages of unknown errors may hold secrets, so they are not shown. */
function messageOf(error: unknown): string {
  return error instanceof AppError ? error.message : 'an unexpected error occurred';
}
