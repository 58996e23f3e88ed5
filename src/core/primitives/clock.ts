/**
 * The clock of the installation, which is PostgreSQL's. A process reads it every two seconds, with a statement that it sends
 * anyway, and counts on from there by the monotonic clock. So it does not matter whether the clock of an instance is right, or
 * jumps. Which clock to use:
 *
 * - `now()` in the statement, where a statement decides by the time that it runs.
 * - `databaseNow` and `databaseTimeMs` for a time that is stored, shown or signed, or that is compared with such a time. IDs
 *   hold a time, so they use it too.
 * - `performance.now()` for the time that something took, and for how long this process keeps or retries something.
 *
 * The clock of the instance is for nothing of these, and ESLint rejects it in `src`. Only the sandbox uses it, because it stands
 * in for the machine of someone else. Libraries use it for their protocols: the client of the bucket corrects it by the
 * bucket's responses.
 */

export const DAY_MS = 24 * 3_600 * 1_000;

/** PostgreSQL's Unix time in milliseconds, less `performance.now()`. Null before the first reading. */
let offsetMs: number | null = null;

/** The present Unix time by PostgreSQL's clock, in whole milliseconds. Before the first reading, by the clock of the instance. */
export function databaseTimeMs(): number {
  // eslint-disable-next-line no-restricted-syntax -- The only clock that a process has before it has reached PostgreSQL.
  return offsetMs === null ? Date.now() : Math.floor(performance.now() + offsetMs);
}

/** The present time by PostgreSQL's clock. */
export function databaseNow(): Date {
  return new Date(databaseTimeMs());
}

/**
 * Records a reading of PostgreSQL's clock. `askedAt` is the `performance.now()` from before the statement. PostgreSQL read its
 * clock between then and now, so a reading corrects the clock only as far as it proves it wrong: a response that took long
 * proves little.
 */
export function recordDatabaseTime(time: Date, askedAt: number): void {
  const lowest = time.getTime() - performance.now();
  // The reading is cut to whole milliseconds.
  const highest = time.getTime() + 1 - askedAt;
  offsetMs = Math.min(Math.max(offsetMs ?? (lowest + highest) / 2, lowest), highest);
}
