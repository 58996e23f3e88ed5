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

/**
 * Returns a function that starts `work` unless it is in progress, and returns the promise of the work in progress. A call
 * that joins it has no effect of its own, whatever its arguments are.
 */
export function singleFlight<Args extends unknown[], Result>(
  work: (...args: Args) => Promise<Result>,
): (...args: Args) => Promise<Result> {
  let inProgress: Promise<Result> | null = null;
  return (...args) =>
    (inProgress ??= work(...args).finally(() => {
      inProgress = null;
    }));
}

/**
 * Returns a function that starts `work`. A call while it is in progress makes it run once more afterwards, because the
 * current run may have missed what the call is about. The promise resolves when nothing is left to run.
 */
export function singleFlightWithRerun(work: () => Promise<void>): () => Promise<void> {
  let inProgress: Promise<void> | null = null;
  let isRequested = false;
  const runUntilDone = async () => {
    try {
      do {
        isRequested = false;
        await work();
      } while (isRequested);
    } finally {
      // Not in a later microtask, or a call in between would be lost.
      inProgress = null;
    }
  };
  return () => {
    isRequested = true;
    return (inProgress ??= runUntilDone());
  };
}

/** The delay after so many failures in a row, from 1. The last one repeats. */
export function delayAfter(delaysMs: readonly [number, ...number[]], failures: number): number {
  return delaysMs[failures - 1] ?? delaysMs.at(-1) ?? delaysMs[0];
}

/** Shares work in progress by its key. */
export class SingleFlights<Key, Result> {
  private readonly inProgress = new Map<Key, Promise<Result>>();

  get size(): number {
    return this.inProgress.size;
  }

  has(key: Key): boolean {
    return this.inProgress.has(key);
  }

  /** The work in progress for the key. */
  find(key: Key): Promise<Result> | undefined {
    return this.inProgress.get(key);
  }

  /** Starts `work` unless there is work in progress for the key, and returns the promise of the work in progress. */
  run(key: Key, work: () => Promise<Result>): Promise<Result> {
    const known = this.inProgress.get(key);
    if (known) return known;
    const started = work().finally(() => this.inProgress.delete(key));
    this.inProgress.set(key, started);
    return started;
  }
}

/** Returns a function that runs `work` and keeps its result for `ttlMs`. Concurrent calls share one run. Failures are not kept. */
export function cachedFor<Result>(ttlMs: number, work: () => Promise<Result>): () => Promise<Result> {
  let result: Promise<Result> | null = null;
  let expiresAt = -Infinity;
  return () => {
    const now = performance.now();
    if (result && now <= expiresAt) return result;
    const started = work();
    started.catch(() => {
      if (result === started) result = null;
    });
    result = started;
    expiresAt = now + ttlMs;
    return started;
  };
}

/**
 * Runs the steps one after another, whatever becomes of those before, so that one that fails every time does not keep the others
 * from ever running. Then throws the error of the first one that failed, or all errors in an AggregateError.
 */
export async function runEach(steps: readonly (() => Promise<unknown>)[]): Promise<void> {
  const errors: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 1)
    throw new AggregateError(errors, `${errors.length} of ${steps.length} steps failed.`);
  if (errors.length === 1) throw errors[0];
}
