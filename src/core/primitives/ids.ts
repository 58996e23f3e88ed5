import { v5, v7 } from 'uuid';

const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A new UUIDv7. IDs sort by creation time, so pages "newest first" are ordered by ID. */
export function newId(): string {
  return v7();
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

/** The smallest UUIDv7 of a millisecond. Its first 48 bits are the Unix time in milliseconds (RFC 9562). */
export function minIdAt(time: Date): string {
  const hex = Math.max(0, time.getTime()).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
