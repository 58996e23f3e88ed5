import { z } from 'zod';
import { BadRequest } from '../../core/errors.js';
import { isId } from '../../core/primitives/ids.js';

/**
 * How the cursors of a list hold the positions of its items. Lists of events have cursors that also start a subscription:
 * see core/events/event-cursor.ts.
 */
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
