/** How to release what was started, in the order of starting. */
export type Releases = (() => Promise<unknown> | void)[];

/**
 * At the end Postgres may be away for good, or never answer. So long what asks it may take: all of it together, with the 6 s
 * of running jobs and the 3.5 s of sockets, stays below the 15 s after which main.ts ends the process with an error.
 */
export const ANSWER_MS = 1_000;
export const WORKER_STOP_MS = 7_000;

/** Rejects when the work takes longer; then it is left to itself. */
export async function atMost(ms: number, what: string, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not end within ${ms} ms`)), ms);
  });
  await Promise.race([work, tooLate]).finally(() => clearTimeout(timer));
}
