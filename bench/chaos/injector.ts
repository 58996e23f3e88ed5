import { setTimeout as pause } from 'node:timers/promises';
import { type Fault, type PlannedFault } from './fault-plan.js';
import { type FaultContext, type FaultDefinition } from './faults/fault-definition.js';
import { findFault } from './faults/registry.js';
import { SeededStream } from './random.js';

export type FaultInjectorDependencies = Omit<FaultContext, 'random' | 'target'>;

/** What happens instead of a fault that is impossible at the moment. It is always possible. */
const SUBSTITUTE = 'terminate';

/** Injects faults of the registry. */
export class FaultInjector {
  readonly faults: Fault[] = [];
  /** Kinds that this machine or this run cannot have. */
  readonly leftOut = new Set<string>();
  private readonly context: FaultContext;
  private readonly activeKinds = new Set<string>();
  private readonly activeGroups = new Set<string>();

  constructor(seed: number, dependencies: FaultInjectorDependencies) {
    const random = new SeededStream(seed, 'targets');
    const target = () => random.pick(dependencies.instances.killable);
    this.context = { ...dependencies, random, target };
  }

  /**
   * Injects each fault at its time, even if the previous one has not ended. Resolves when the last fault has ended and all
   * instances are running.
   */
  async run(plan: readonly PlannedFault[]): Promise<void> {
    const startedAt = Date.now();
    const inProgress: Promise<void>[] = [];
    for (const { kind, atMs } of plan) {
      await pause(Math.max(0, startedAt + atMs - Date.now()));
      if (this.context.signal.aborted) break;
      const injected = this.inject(kind);
      injected.catch(() => undefined); // Promise.all below reports it
      inProgress.push(injected);
    }
    await Promise.all(inProgress);
    await this.context.instances.waitUntilAllRunning();
  }

  /**
   * Injects a fault now, and resolves when its cause is gone. When it would stop the last instance, or when one of its group is
   * active, connections are terminated instead. A fault that cannot happen in this run is left out, with a line that says why.
   */
  async inject(kind: string): Promise<void> {
    const wanted = findFault(kind);
    const reason = wanted.reasonLeftOut?.(this.context) ?? null;
    if (reason !== null) {
      this.leftOut.add(kind);
      return this.context.logLine(`the fault "${kind}" is left out: ${reason}`);
    }
    const definition = this.isPossible(wanted) ? wanted : findFault(SUBSTITUTE);
    const group = definition.group ?? definition.kind;
    const fault: Fault = { kind: definition.kind, startedAt: Date.now(), endedAt: Infinity };
    this.faults.push(fault);
    this.activeKinds.add(definition.kind);
    this.activeGroups.add(group);
    await definition.run(this.context);
    fault.endedAt = Date.now();
    this.activeKinds.delete(definition.kind);
    this.activeGroups.delete(group);
  }

  private isPossible({ kind, group = kind, stopsInstance }: FaultDefinition): boolean {
    const { running, killable } = this.context.instances;
    // The load balancer sees no difference between a running instance and a paused one, so several can be paused.
    if (stopsInstance) return running.length > 1 && killable.length > 0;
    return !this.activeGroups.has(group);
  }
}
