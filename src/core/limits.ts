/** What a key or a token may do in a time or at once. Absent or null: no limit of its own. */
export interface Limits {
  requestsPerMinute?: number | null;
  generationsPerMinute?: number | null;
  /** Tasks that have not ended. */
  generationsInFlight?: number | null;
  /** Connections that stay open: WebSockets and event streams. */
  connections?: number | null;
}

export const LIMIT_NAMES = [
  'requestsPerMinute',
  'generationsPerMinute',
  'generationsInFlight',
  'connections',
] as const satisfies readonly (keyof Limits)[];
