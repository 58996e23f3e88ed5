/** The result of `withTimeout` when the time is up. */
export const TIMED_OUT = Symbol('timed out');

/** Waits for `promise` for at most `timeoutMs`. It goes on afterwards, and its rejection is then ignored. */
export async function withTimeout<Result>(
  promise: Promise<Result>,
  timeoutMs: number,
): Promise<Result | typeof TIMED_OUT> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<typeof TIMED_OUT>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, TIMED_OUT);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

/** Returns a function that starts `work` unless it is in progress, and returns the promise of the work in progress. */
export function singleFlight<Result>(work: () => Promise<Result>): () => Promise<Result> {
  let inProgress: Promise<Result> | null = null;
  return () =>
    (inProgress ??= work().finally(() => {
      inProgress = null;
    }));
}
