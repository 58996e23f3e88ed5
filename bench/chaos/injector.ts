import { setTimeout as pause } from 'node:timers/promises';
import { type Fault, type FaultKind, type PlannedFault } from './fault-plan.js';
import { type InstanceGroup } from './instances.js';
import { type ChaosPostgres } from './postgres.js';
import { SeededStream } from './random.js';
import { type SandboxProcess } from './sandbox.js';

/** Longer than three missed heartbeats, so that a paused instance finds its jobs taken over when it continues. */
const FREEZE_MS = 8_000;
const UPSTREAM_DOWN_MS = 10_000;
/** Between the crash and the restart, as with a supervisor. */
const POSTGRES_DOWN_MS = 1_000;
const BURST_MS = 2_000;
/** Longer than the queue needs to give up, to be replaced, and to fail again. */
const READ_ONLY_MS = 4_000;
/** Longer than the time limit of a statement. */
const SILENT_MS = 6_000;
const REFUSING_MS = 4_000;

export interface FaultInjectorDependencies {
  instances: InstanceGroup;
  postgres: ChaosPostgres;
  sandbox: SandboxProcess;
  logLine: (line: string) => void;
  signal: AbortSignal;
}

/** Injects the planned faults, each at its time even if the previous one has not ended. */
export class FaultInjector {
  readonly faults: Fault[] = [];
  private readonly random: SeededStream;
  private readonly active = new Set<FaultKind>();

  constructor(
    seed: number,
    private readonly dependencies: FaultInjectorDependencies,
  ) {
    this.random = new SeededStream(seed, 'targets');
  }

  /** Whether the upstream currently refuses new requests with 429. */
  get inBurst(): boolean {
    return this.active.has('burst');
  }

  /** Resolves when the last fault has ended and all instances are running. */
  async run(plan: readonly PlannedFault[]): Promise<void> {
    const startedAt = Date.now();
    const inProgress: Promise<void>[] = [];
    for (const { kind, atMs } of plan) {
      await pause(Math.max(0, startedAt + atMs - Date.now()));
      if (this.dependencies.signal.aborted) break;
      const injected = this.inject(this.resolveKind(kind));
      injected.catch(() => undefined); // Promise.all below reports it
      inProgress.push(injected);
    }
    await Promise.all(inProgress);
    await this.dependencies.instances.waitUntilAllRunning();
  }

  /**
   * Keeps at least one instance running: when only one is left, its connections are broken instead. A component that is already
   * down is not stopped again.
   */
  private resolveKind(kind: FaultKind): FaultKind {
    const needsInstance = kind === 'kill' || kind === 'freeze';
    const { running, killable } = this.dependencies.instances;
    if (needsInstance && running.length > 1 && killable.length > 0) return kind;
    return needsInstance || this.active.has(kind) ? 'terminate' : kind;
  }

  private async inject(kind: FaultKind): Promise<void> {
    const fault: Fault = { kind, startedAt: Date.now(), endedAt: Infinity };
    this.faults.push(fault);
    this.active.add(kind);
    await this.perform(kind);
    fault.endedAt = Date.now();
    this.active.delete(kind);
  }

  private async perform(kind: FaultKind): Promise<void> {
    const { instances, postgres, sandbox, logLine } = this.dependencies;
    switch (kind) {
      case 'kill': {
        const instance = this.random.pick(instances.killable);
        logLine(`instance ${instance.number} is killed`);
        return instances.kill(instance);
      }
      case 'freeze': {
        const instance = this.random.pick(instances.running);
        logLine(`instance ${instance.number} is paused for ${FREEZE_MS / 1000} s`);
        return instances.freeze(instance, FREEZE_MS);
      }
      case 'terminate': {
        const count = await postgres.terminateConnections();
        return logLine(`${count} database connections are terminated`);
      }
      case 'postgres':
        logLine('PostgreSQL crashes and is started again');
        await postgres.crash();
        await pause(POSTGRES_DOWN_MS);
        return postgres.restart();
      case 'readonly':
        logLine(`PostgreSQL is read-only for ${READ_ONLY_MS / 1000} s`);
        await postgres.setReadOnly();
        await pause(READ_ONLY_MS);
        return postgres.setWritable();
      case 'silent':
        logLine(`the network to PostgreSQL loses every packet for ${SILENT_MS / 1000} s`);
        postgres.proxy.silence();
        await pause(SILENT_MS);
        return postgres.proxy.endSilence();
      case 'refusing':
        logLine(`PostgreSQL refuses connections for ${REFUSING_MS / 1000} s`);
        await postgres.proxy.disconnect();
        await pause(REFUSING_MS);
        return postgres.proxy.reconnect();
      case 'upstream':
        logLine(`the upstream is down for ${UPSTREAM_DOWN_MS / 1000} s`);
        await sandbox.proxy.disconnect();
        await pause(UPSTREAM_DOWN_MS);
        return sandbox.proxy.reconnect();
      case 'burst':
        logLine(`the upstream refuses each request of the next ${BURST_MS / 1000} s once with 429`);
        await pause(BURST_MS);
    }
  }
}
