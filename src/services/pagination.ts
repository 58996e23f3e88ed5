import { z } from 'zod';
import { BadRequest } from '../core/errors.js';
import { isId } from '../core/primitives/ids.js';

/** The part of a list that a caller asks for: up to `first` items after the cursor `after`, or from the start. */
export interface PageRequest {
  first: number;
  after?: string | null;
}

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

/** How the cursors of a list hold the positions of its items. */
export interface PageOrder<Item, Position> {
  cursorOf: (item: Item) => string;
  /** Throws BadRequest for a cursor of another list. */
  positionOf: (cursor: string) => Position;
}

/** The order of lists whose cursors are the IDs of their items. */
export const BY_ID: PageOrder<{ id: string }, string> = {
  cursorOf: ({ id }) => id,
  positionOf: (cursor) => {
    if (isId(cursor)) return cursor;
    throw invalidCursor();
  },
};

/** Text that PostgreSQL can store. */
export const CURSOR_TEXT = z.string().refine((text) => !text.includes('\0'));

/** The order of lists whose cursors hold these columns of their items. */
export function byColumns<Shape extends z.ZodRawShape>(
  columns: z.ZodObject<Shape>,
): PageOrder<z.output<typeof columns>, z.output<typeof columns>> {
  const names = Object.keys(columns.shape);
  return {
    cursorOf: (item) => Buffer.from(JSON.stringify(Object.values(columns.parse(item)))).toString('base64url'),
    positionOf: (cursor) => {
      try {
        const values = z.array(z.unknown()).parse(JSON.parse(Buffer.from(cursor, 'base64url').toString()));
        return columns.parse(Object.fromEntries(names.map((name, index) => [name, values[index]])));
      } catch {
        throw invalidCursor();
      }
    },
  };
}

function invalidCursor(): BadRequest {
  return new BadRequest('`after` is not a cursor of this list. Use `endCursor` of the previous page.');
}

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
  return { items, cursors: items.map(cursorOf), hasNext, hasPrevious: after !== null };
}
