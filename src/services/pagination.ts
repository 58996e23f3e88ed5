import { BadRequest } from '../core/errors.js';

/** A part of a longer list. `cursors[i]` is the place just after `items[i]`. */
export interface Page<Item> {
  items: Item[];
  cursors: string[];
  /** Where a subscription goes on after this page; null where there is none for such a list. */
  logCursor?: string;
  hasNext: boolean;
  hasPrevious: boolean;
}

/** Pages are keyset pages, so their size is what they cost. */
const MAX_PAGE = 100;

/** Throws BadRequest for a page of a size that cannot be. */
export function checkPageSize(first: number): void {
  if (first >= 1 && first <= MAX_PAGE) return;
  throw new BadRequest(`\`first\` is ${first}; ask for 1 to ${MAX_PAGE}.`);
}

/** The page that `rows` give, which hold one more than asked for where there is more. */
export function toPage<Item>(
  rows: Item[],
  first: number,
  hasPrevious: boolean,
  cursorOf: (item: Item) => string,
): Page<Item> {
  const items = rows.slice(0, first);
  return { items, cursors: items.map(cursorOf), hasNext: rows.length > first, hasPrevious };
}
