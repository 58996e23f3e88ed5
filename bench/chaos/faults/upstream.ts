import { setTimeout as pause } from 'node:timers/promises';
import { type FaultContext, type FaultDefinition } from './fault-definition.js';

const DOWN_MS = 10_000;
const BURST_MS = 2_000;
/** Long enough for the gate to slow down several times. */
const RATE_LIMIT_SECONDS = { fraction: 0.3, max: 180 };
/** Long enough for the gate to close and to try again. */
const ACCOUNT_SECONDS = { fraction: 0.15, max: 60 };
const MIN_SECONDS = 5;

/** Refuses every request because of the account. Only one such outage happens at a time. */
function accountFault(
  error: 'invalid_token' | 'used_up' | 'too_many_requests',
  { fraction, max }: typeof ACCOUNT_SECONDS,
  texts: Pick<FaultDefinition, 'kind' | 'title'>,
): FaultDefinition {
  return {
    ...texts,
    weight: 2,
    outageOf: 'upstream',
    group: 'account',
    run: async ({ sandbox, logLine, runSeconds }: FaultContext) => {
      const seconds = Math.round(Math.min(max, Math.max(MIN_SECONDS, runSeconds * fraction)));
      logLine(`the upstream refuses every request with ${error} for ${seconds} s`);
      await sandbox.beginOutage(error, seconds);
      await pause(seconds * 1000);
    },
  };
}

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
  accountFault('too_many_requests', RATE_LIMIT_SECONDS, {
    kind: 'rate-limit',
    title: 'upstream refuses everything with 429',
  }),
  accountFault('used_up', ACCOUNT_SECONDS, { kind: 'credit', title: 'upstream account out of credit' }),
  accountFault('invalid_token', ACCOUNT_SECONDS, { kind: 'token', title: 'upstream token revoked' }),
];
