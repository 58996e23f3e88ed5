import { setTimeout as pause } from 'node:timers/promises';

/** Short against any step a test waits for, long against the cost of a probe. */
const INTERVAL_MS = 10;

/**
 * Asks `probe` until it answers something other than undefined, null or false, and returns that. Fails after `timeoutMs`
 * with what it waited for. An error of the probe fails at once.
 */
export async function waitFor<T>(
  what: string,
  probe: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  { timeoutMs = 20_000 } = {},
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined && found !== null && found !== false) return found;
    if (Date.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain for ${what}.`);
    await pause(INTERVAL_MS);
  }
}
