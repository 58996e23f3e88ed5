import { setTimeout as pause } from 'node:timers/promises';
import { type Fault, type FaultKind, type PlannedFault } from './fault-plan.js';
import { type Instances } from './instances.js';
import { type Postgres } from './postgres.js';
import { Random } from './random.js';
import { type SandboxProcess } from './sandbox.js';

/** Longer than three missed heartbeats, so that a stopped instance finds its jobs taken over when it goes on. */
const FREEZE_MS = 8_000;
const UPSTREAM_DOWN_MS = 10_000;
/** Between an immediate stop and the new start: what a supervisor waits. */
const POSTGRES_DOWN_MS = 1_000;
const BURST_MS = 2_000;

export interface InjectorParts {
  instances: Instances;
  postgres: Postgres;
  sandbox: SandboxProcess;
  say: (line: string) => void;
  signal: AbortSignal;
}

/** Lets the planned faults happen, each at its time whether the one before has ended or not. */
export class Injector {
  readonly faults: Fault[] = [];
  private readonly random: Random;
  private readonly active = new Set<FaultKind>();

  constructor(
    seed: number,
    private readonly parts: InjectorParts,
  ) {
    this.random = new Random(seed, 'targets');
  }

  /** Whether the upstream answers new requests with 429 at this moment. */
  get inBurst(): boolean {
    return this.active.has('burst');
  }

  /** Resolves when the last fault has ended and every instance runs. */
  async run(plan: readonly PlannedFault[]): Promise<void> {
    const startedAt = Date.now();
    const underWay: Promise<void>[] = [];
    for (const { kind, atMs } of plan) {
      await pause(Math.max(0, startedAt + atMs - Date.now()));
      if (this.parts.signal.aborted) break;
      const injected = this.inject(this.possible(kind));
      injected.catch(() => undefined); // it is told at the end
      underWay.push(injected);
    }
    await Promise.all(underWay);
    await this.parts.instances.allRun();
  }

  /**
   * One instance at least goes on running: when only one does, its connections are broken in place of its process. What
   * is down already is not taken down again.
   */
  private possible(kind: FaultKind): FaultKind {
    const needsInstance = kind === 'kill' || kind === 'freeze';
    if (needsInstance && this.parts.instances.running.length > 1) return kind;
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
    const { instances, postgres, sandbox, say } = this.parts;
    switch (kind) {
      case 'kill': {
        const instance = this.random.pick(instances.running);
        say(`instance ${instance.number} is killed`);
        return instances.kill(instance);
      }
      case 'freeze': {
        const instance = this.random.pick(instances.running);
        say(`instance ${instance.number} is stopped for ${FREEZE_MS / 1000} s`);
        return instances.freeze(instance, FREEZE_MS);
      }
      case 'terminate': {
        const ended = await postgres.terminateConnections();
        return say(`${ended} database connections are terminated`);
      }
      case 'postgres':
        say('Postgres is stopped at once, and started again');
        await postgres.crash();
        await pause(POSTGRES_DOWN_MS);
        return postgres.restart();
      case 'upstream':
        say(`the upstream is down for ${UPSTREAM_DOWN_MS / 1000} s`);
        await sandbox.proxy.cut();
        await pause(UPSTREAM_DOWN_MS);
        return sandbox.proxy.mend();
      case 'burst':
        say(`the upstream refuses what is created in the next ${BURST_MS / 1000} s with 429, once`);
        await pause(BURST_MS);
    }
  }
}
