import { setTimeout as pause } from 'node:timers/promises';
import { type FaultDefinition } from './fault-definition.js';

const DOWN_MS = 10_000;
const BURST_MS = 2_000;

export const UPSTREAM_FAULTS: readonly FaultDefinition[] = [
  {
    kind: 'upstream',
    title: 'upstream down for 10 s',
    weight: 2,
    outageOf: 'upstream',
    run: async ({ sandbox, logLine }) => {
      logLine(`the upstream is down for ${DOWN_MS / 1000} s`);
      await sandbox.proxy.disconnect();
      await pause(DOWN_MS);
      await sandbox.proxy.reconnect();
    },
  },
  {
    // The load adds the refusals to its prompts while this fault is active.
    kind: 'burst',
    title: 'upstream refuses with 429 for 2 s',
    weight: 5,
    isRecoveryMeasured: false,
    run: async ({ logLine }) => {
      logLine(`the upstream refuses each request of the next ${BURST_MS / 1000} s once with 429`);
      await pause(BURST_MS);
    },
  },
];
