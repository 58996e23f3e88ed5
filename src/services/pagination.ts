import { BadRequest } from '../core/errors.js';

/** One page of a list. `cursors[i]` is the position just after `items[i]`. */
export interface Page<Item> {
  items: Item[];
  cursors: string[];
  /** Cursor after which a subscription continues. Absent for lists that cannot be subscribed to. */
  eventCursor?: string;
  hasNext: boolean;
  hasPrevious: boolean;
}

/** Pages are read by keyset, so the cost of a page depends only on its size. */
const MAX_PAGE_SIZE = 100;

/** Throws BadRequest unless `first` is 1 to 100. */
export function validatePageSize(first: number): void {
  if (first >= 1 && first <= MAX_PAGE_SIZE) return;
  throw new BadRequest(`\`first\` is ${first}. Use 1 to ${MAX_PAGE_SIZE}.`);
}

/** Creates the error for a cursor that does not belong to the list. */
export function invalidCursor(): BadRequest {
  return new BadRequest('`after` is not a cursor of this list. Use `endCursor` of the previous page.');
}

/** Encodes the columns that a list is ordered by, for lists that are not ordered by an ID alone. */
export function encodePageCursor(columns: readonly (string | null)[]): string {
  return Buffer.from(JSON.stringify(columns)).toString('base64url');
}

/** Decodes a cursor of `encodePageCursor`. The columns are unchecked. Throws BadRequest for any other text. */
export function decodePageCursor(cursor: string): unknown[] {
  try {
    const columns: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (Array.isArray(columns)) return columns;
  } catch {
    // Reported below.
  }
  throw invalidCursor();
}

/** Makes a page of up to `first + 1` rows. The extra row only tells that there is a next page. */
export function toPage<Item>(
  rows: Item[],
  first: number,
  hasPrevious: boolean,
  cursorOf: (item: Item) => string,
): Page<Item> {
  const items = rows.slice(0, first);
  return { items, cursors: items.map(cursorOf), hasNext: rows.length > first, hasPrevious };
}
