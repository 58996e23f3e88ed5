import { type ChaosClient } from '../client.js';
import { type InstanceGroup, type ServiceInstance } from '../instances.js';
import { type ChaosPostgres } from '../postgres.js';
import { type SeededStream } from '../random.js';
import { type SandboxProcess } from '../sandbox.js';
import { type ChaosStore } from '../store.js';

/** What a fault works with. */
export interface FaultContext {
  instances: InstanceGroup;
  postgres: ChaosPostgres;
  sandbox: SandboxProcess;
  store: ChaosStore;
  client: ChaosClient;
  /** How long the load of the run takes. */
  runSeconds: number;
  /** Chooses targets. */
  random: SeededStream;
  /** A running instance that may be stopped. */
  target: () => ServiceInstance;
  logLine: (line: string) => void;
  signal: AbortSignal;
}

/** A kind of fault. */
export interface FaultDefinition {
  kind: string;
  /** For the report, such as `PostgreSQL crashed`. */
  title: string;
  /** Relative frequency. Faults that block the whole service are rare, or a run would consist of waiting. */
  weight: number;
  /** What the service cannot reach or use meanwhile. No task can progress without it. */
  outageOf?: 'postgres' | 'upstream' | 'store';
  /** Stops an instance. At least one is always left running. */
  stopsInstance?: true;
  /** Only one fault of a group happens at a time. By default each kind is a group of its own. */
  group?: string;
  /** Why this machine or this run cannot have the fault. Null if it can. */
  reasonLeftOut?: (context: FaultContext) => string | null;
  /** Injects the fault, logs it, and resolves when its cause is gone. */
  run: (context: FaultContext) => Promise<void>;
}
