import { setTimeout as pause } from 'node:timers/promises';

/** Short compared to the steps that tests wait for, long compared to the cost of a probe. */
const POLL_INTERVAL_MS = 10;

/**
 * Calls `probe` until it returns something other than undefined, null or false, and returns that value. Throws after
 * `timeoutMs` with the description. An error of the probe is thrown at once.
 */
export async function waitFor<T>(
  description: string,
  probe: () => T | undefined | null | false | Promise<T | undefined | null | false>,
  { timeoutMs = 20_000 } = {},
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const result = await probe();
    if (result !== undefined && result !== null && result !== false) return result;
    if (Date.now() > deadline) throw new Error(`Timed out after ${timeoutMs} ms waiting for ${description}.`);
    await pause(POLL_INTERVAL_MS);
  }
}
