import { AppError } from '../core/errors.js';
import { type Database } from '../db/postgres/database.js';
import { type ImageStore } from '../storage/image-store.js';
import { type GateState, type UpstreamGate } from '../upstreams/upstream-gate.js';
import { type Worker } from '../queue/worker.js';

const STORE_CHECK_MS = 5_000;

/** One thing that an instance needs. */
interface Part {
  ok: boolean;
  error?: string;
}

/** Whether this instance can do its work, part by part. `error` says what is wrong with the part. */
export interface Readiness {
  ready: boolean;
  parts: Record<string, Part>;
  /** Whether pictures can be stored. When they cannot, tasks go on and storing is tried again. */
  store: Part;
  /** For the operator to see; an upstream that is down does not make this instance unready. */
  upstream: GateState;
}

/** What /readyz answers. */
export class Health {
  private draining = false;
  private storeChecked = { part: Promise.resolve<Part>({ ok: true }), until: 0 };

  constructor(
    private readonly db: Database,
    private readonly gate: UpstreamGate,
    private readonly store: ImageStore,
    /** Null on an instance that runs no jobs. */
    private readonly worker: Worker | null,
  ) {}

  /** From here on this instance is not ready: load balancers take it out before its listeners close. */
  startDraining(): void {
    this.draining = true;
  }

  async readiness(): Promise<Readiness> {
    const parts: Readiness['parts'] = { database: await this.database() };
    if (this.worker)
      parts.queue = this.worker.isRunning ? { ok: true } : { ok: false, error: 'it has stopped' };
    if (this.draining) parts.process = { ok: false, error: 'it is shutting down' };
    const ready = Object.values(parts).every((part) => part.ok);
    return { ready, parts, store: await this.storePart(), upstream: this.gate.state };
  }

  /** Asked at most every few seconds: a check writes a file, or asks a bucket that may be paid by the request. */
  private storePart(): Promise<Part> {
    const now = Date.now();
    if (now > this.storeChecked.until) {
      const part = this.store.check().then(
        () => ({ ok: true }),
        (error: unknown) => ({
          ok: false,
          error: error instanceof AppError ? error.message : 'it gave an error',
        }),
      );
      this.storeChecked = { part, until: now + STORE_CHECK_MS };
    }
    return this.storeChecked.part;
  }

  private async database(): Promise<Part> {
    try {
      await this.db.ping();
      return { ok: true };
    } catch (error) {
      return { ok: false, error: error instanceof AppError ? error.message : 'it gave an error' };
    }
  }
}
