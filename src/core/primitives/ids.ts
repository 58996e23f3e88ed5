import { randomInt } from 'node:crypto';
import { v5, v7 } from 'uuid';
import { databaseTimeMs } from './clock.js';

const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A clock that was corrected by more than this is followed. After a smaller correction, IDs keep their order. */
const MAX_REGRESSION_MS = 1_000;
/** The time of the last ID, and a number that orders the IDs of one millisecond. */
let last = { timeMs: -Infinity, sequence: 0 };

/**
 * A new UUIDv7. IDs sort by creation time, so pages "newest first" are ordered by ID. Its time is PostgreSQL's, because it is
 * compared with times in rows, and with the IDs of other instances.
 */
export function newId(): string {
  const timeMs = databaseTimeMs();
  const isNewer = timeMs > last.timeMs || timeMs < last.timeMs - MAX_REGRESSION_MS;
  last = isNewer
    ? { timeMs, sequence: randomInt(2 ** 31) }
    : { timeMs: last.timeMs, sequence: last.sequence + 1 };
  return v7({ msecs: last.timeMs, seq: last.sequence });
}

/** The ID of a URL (UUIDv5). The same URL always gives the same ID. */
export function idFromUrl(url: string): string {
  return v5(url, v5.URL);
}

/**
 * Whether the text has the form of a UUID. Check it before a query, because PostgreSQL raises an error for any other
 * text.
 */
export function isId(text: string): boolean {
  return UUID_PATTERN.test(text);
}

/** Creation time of a UUIDv7, to the millisecond. */
export function idTime(id: string): Date {
  return new Date(parseInt(id.slice(0, 8) + id.slice(9, 13), 16));
}

/**
 * How far the time of an ID may be from that of its row. It is made before the row, and PostgreSQL's clock may be corrected in
 * between.
 */
export const MAX_ID_SKEW_MS = 3_600_000;

/** The smallest UUIDv7 of a millisecond. Its first 48 bits are the Unix time in milliseconds (RFC 9562). */
export function minIdAt(time: Date): string {
  const hex = Math.max(0, time.getTime()).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
