import { setTimeout as pause } from 'node:timers/promises';
import { STORE_OPERATIONS, type StoreOperation } from '../store.js';
import { type FaultDefinition } from './fault-definition.js';

/** In a long run the store hangs for longer than a call may take (30 s). */
const HANG_SECONDS = { fraction: 0.1, min: 6, max: 40 };
/** Images that clients read while the store does not serve them. */
const READS = 20;

/** These happen by themselves: each ingest has a `head` and a `put`. */
function hangs(operation: StoreOperation): FaultDefinition {
  return {
    kind: `store-${operation}`,
    title: `store hangs on ${operation}`,
    weight: 1,
    // An image is only stored with these two. Nothing else waits for the store.
    ...((operation === 'put' || operation === 'head') && { outageOf: 'store' as const }),
    reasonLeftOut: ({ store }) =>
      store.name === 's3' ? null : 'a folder cannot hang; use --store s3 to have a bucket',
    run: async ({ store, client, logLine, runSeconds }) => {
      const { fraction, min, max } = HANG_SECONDS;
      const seconds = Math.round(Math.min(max, Math.max(min, runSeconds * fraction)));
      logLine(`the store hangs on each ${operation} for ${seconds} s`);
      store.hang(operation);
      const reading = operation === 'get' ? client.readImages(READS) : null;
      await pause(seconds * 1000);
      store.resume(operation);
      await reading;
    },
  };
}

export const STORE_FAULTS: readonly FaultDefinition[] = STORE_OPERATIONS.map(hangs);
