import { type FaultDefinition } from './fault-definition.js';
import { CLIENT_FAULTS } from './clients.js';
import { NETWORK_FAULTS } from './network.js';
import { POSTGRES_FAULTS } from './postgres.js';
import { PROCESS_FAULTS } from './processes.js';
import { STORE_FAULTS } from './store.js';
import { UPSTREAM_FAULTS } from './upstream.js';

/** Every fault, by subject. The rest of the benchmark knows faults only by this list. */
export const FAULTS: readonly FaultDefinition[] = [
  ...PROCESS_FAULTS,
  ...POSTGRES_FAULTS,
  ...NETWORK_FAULTS,
  ...UPSTREAM_FAULTS,
  ...STORE_FAULTS,
  ...CLIENT_FAULTS,
];
export const FAULT_KINDS: readonly string[] = FAULTS.map(({ kind }) => kind);

const FAULTS_BY_KIND = new Map(FAULTS.map((fault) => [fault.kind, fault]));

export function findFault(kind: string): FaultDefinition {
  const fault = FAULTS_BY_KIND.get(kind);
  if (!fault) throw new Error(`Unknown kind of fault "${kind}". Use one of: ${FAULT_KINDS.join(', ')}.`);
  return fault;
}
