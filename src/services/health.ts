import { AppError } from '../core/errors.js';
import { type Database } from '../db/database.js';
import { type GateState, type UpstreamGate } from '../providers/upstream-gate.js';
import { type Worker } from '../queue/worker.js';

/** Whether this instance can do its work, part by part. `error` says what is wrong with the part. */
export interface Readiness {
  ready: boolean;
  parts: Record<string, { ok: boolean; error?: string }>;
  /** For the operator to see; an upstream that is down does not make this instance unready. */
  upstream: GateState;
}

/** What /readyz answers. */
export class Health {
  private draining = false;

  constructor(
    private readonly db: Database,
    private readonly gate: UpstreamGate,
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
    return { ready: Object.values(parts).every((part) => part.ok), parts, upstream: this.gate.state };
  }

  private async database(): Promise<{ ok: boolean; error?: string }> {
    try {
      await this.db.ping();
      return { ok: true };
    } catch (error) {
      return { ok: false, error: error instanceof AppError ? error.message : 'it gave an error' };
    }
  }
}
