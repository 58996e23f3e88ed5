import { v7 } from 'uuid';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** A UUIDv7: ids made later sort later, so a page "newest first" is a page by id. */
export function newId(): string {
  return v7();
}

/** Whether the text could be one of our ids. Ask before a query: Postgres refuses malformed UUIDs with an error. */
export function isId(text: string): boolean {
  return UUID.test(text);
}
