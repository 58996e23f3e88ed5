import { setTimeout as pause } from 'node:timers/promises';
import { type FaultContext, type FaultDefinition } from './fault-definition.js';

const DOWN_MS = 10_000;
/** Short enough for the gate to open again from a rate that was never reached. */
const BURST_SECONDS = { fraction: 1, max: 2 };
/** Long enough for the gate to slow down several times. */
const RATE_LIMIT_SECONDS = { fraction: 0.3, max: 180 };
/** Long enough for the gate to close and to try again. */
const ACCOUNT_SECONDS = { fraction: 0.15, max: 60 };
/** The others last at least so long, also in a short run. */
const MIN_SECONDS = 5;

const lastingSeconds = (runSeconds: number, { fraction, max }: typeof ACCOUNT_SECONDS): number =>
  Math.round(Math.min(max, Math.max(MIN_SECONDS, runSeconds * fraction)));

/** Of the longest fault of any kind. */
export const longestOutageSeconds = (runSeconds: number): number =>
  lastingSeconds(runSeconds, RATE_LIMIT_SECONDS);

/** Refuses every request because of the account. Only one such outage happens at a time. */
function accountFault(
  error: 'invalid_token' | 'used_up' | 'too_many_requests',
  lasting: typeof ACCOUNT_SECONDS,
  texts: Pick<FaultDefinition, 'kind' | 'title'>,
): FaultDefinition {
  return {
    ...texts,
    weight: 2,
    outageOf: 'upstream',
    group: 'account',
    run: async ({ sandbox, logLine, runSeconds }: FaultContext) => {
      const seconds = lastingSeconds(runSeconds, lasting);
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
  accountFault('too_many_requests', BURST_SECONDS, {
    kind: 'burst',
    title: 'upstream refuses everything with 429 for 2 s',
  }),
  accountFault('too_many_requests', RATE_LIMIT_SECONDS, {
    kind: 'rate-limit',
    title: 'upstream refuses everything with 429',
  }),
  accountFault('used_up', ACCOUNT_SECONDS, { kind: 'credit', title: 'upstream account out of credit' }),
  accountFault('invalid_token', ACCOUNT_SECONDS, { kind: 'token', title: 'upstream token revoked' }),
];
