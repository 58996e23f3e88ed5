import { BadRequest } from '../../core/errors.js';
import { type PageOrder } from './page-cursors.js';

/** The part of a list that a caller asks for: up to `first` items after the cursor `after`, or from the start. */
export interface PageRequest {
  first: number;
  after?: string | null;
}

/** One page of a list. */
export interface Page<Item> {
  items: Item[];
  /** The position just after an item of the page. It is made when it is asked for, because those of events are encrypted. */
  cursorOf: (item: Item) => string;
  /** Cursor after which a subscription continues. Absent for lists that cannot be subscribed to. */
  eventCursor?: () => string;
  hasNext: boolean;
  hasPrevious: boolean;
}

/** Pages are read by keyset, so the cost of a page depends only on its size. */
export const MAX_PAGE_SIZE = 100;

/**
 * Makes a page of what `read` returns. It reads one row more than the page has, which only tells that there is a next
 * page. Throws BadRequest for an invalid page size or cursor.
 */
export async function readPage<Item, Position>(
  { first, after = null }: PageRequest,
  { cursorOf, positionOf }: PageOrder<NoInfer<Item>, Position>,
  read: (after: Position | null, limit: number) => Promise<Item[]> | Item[],
): Promise<Page<Item>> {
  if (!(first >= 1 && first <= MAX_PAGE_SIZE)) {
    throw new BadRequest(`\`first\` is ${first}. Use 1 to ${MAX_PAGE_SIZE}.`);
  }
  const rows = await read(after === null ? null : positionOf(after), first + 1);
  const items = rows.slice(0, first);
  const hasNext = rows.length > first;
  return { items, cursorOf, hasNext, hasPrevious: after !== null };
}
