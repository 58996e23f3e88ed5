import { v5, v7 } from 'uuid';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A UUIDv7: ids made later sort later, so a page "newest first" is a page by id. */
export function newId(): string {
  return v7();
}

/** The id that stands for an address: always the same. */
export function idOfUrl(url: string): string {
  return v5(url, v5.URL);
}

/** Whether the text could be one of our ids. Ask before a query: Postgres refuses malformed UUIDs with an error. */
export function isId(text: string): boolean {
  return UUID.test(text);
}

/** When an id of ours was made, to the millisecond. */
export function timeOf(id: string): Date {
  return new Date(parseInt(id.slice(0, 8) + id.slice(9, 13), 16));
}

/** The smallest UUIDv7 of that millisecond: its first 48 bits are Unix time in milliseconds (RFC 9562). */
export function firstIdAt(time: Date): string {
  const hex = Math.max(0, time.getTime()).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
