import { type ClassType } from 'type-graphql';
import { type Page } from '../../services/pagination/read-page.js';
import { createObjectType, field, nullable } from '../server/schema-types.js';

type Connection = ReturnType<typeof toConnection>;

const PageInfoType = createObjectType<Connection['pageInfo']>(
  'PageInfo',
  'Position of a page in its list, as in the Relay specification.',
  {
    hasNextPage: field(Boolean, 'Whether more items follow this page.'),
    hasPreviousPage: field(Boolean, 'Whether `after` was given, so that items may precede this page.'),
    startCursor: nullable(String, 'Cursor of the first item. Null on an empty page.'),
    endCursor: nullable(
      String,
      'Cursor of the last item. Pass it as `after` to get the next page. Null on an empty page.',
    ),
    eventCursor: nullable(
      String,
      'Event log cursor to pass as `after` to a subscription. The subscription then delivers every event that this page does not reflect. Set by the queries `tasks` and `taskEvents`, even on an empty page. Null in other lists.',
    ),
  },
);

/** Creates the Relay connection of a type. `items` names them with their order: "tasks, newest first". */
export function createConnectionType(name: string, nodeType: ClassType, items: string) {
  const EdgeType = createObjectType<Connection['edges'][number]>(
    `${name}Edge`,
    'A list item with its cursor.',
    {
      cursor: field(String, 'Opaque cursor of this item. Pass it as `after` to get the items that follow.'),
      node: field(nodeType, 'The item.'),
    },
  );
  return createObjectType<Connection>(`${name}Connection`, `A page of ${items}.`, {
    edges: field([EdgeType], 'The items with their cursors.'),
    nodes: field([nodeType], 'The items.'),
    pageInfo: field(PageInfoType, 'Position of the page in the list.'),
  });
}

/** Converts a page to a Relay connection. Makes the cursors that an operation selects, because most select none or one. */
export function toConnection<Item>({ items, cursorOf, hasNext, hasPrevious, eventCursor }: Page<Item>) {
  const cursorAt = (index: number) => {
    const item = items.at(index);
    return item === undefined ? null : cursorOf(item);
  };
  return {
    get edges() {
      return items.map((node) => ({
        node,
        get cursor() {
          return cursorOf(node);
        },
      }));
    },
    nodes: items,
    pageInfo: {
      hasNextPage: hasNext,
      hasPreviousPage: hasPrevious,
      get startCursor() {
        return cursorAt(0);
      },
      get endCursor() {
        return cursorAt(-1);
      },
      get eventCursor() {
        return eventCursor?.() ?? null;
      },
    },
  };
}
