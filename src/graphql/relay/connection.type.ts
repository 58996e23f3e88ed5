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

/** Converts a page to a Relay connection. */
export function toConnection<Item>(page: Page<Item>) {
  const { items, cursors } = page;
  return {
    edges: items.map((node, index) => ({ node, cursor: cursors[index] ?? '' })),
    nodes: items,
    pageInfo: {
      hasNextPage: page.hasNext,
      hasPreviousPage: page.hasPrevious,
      startCursor: cursors[0] ?? null,
      endCursor: cursors.at(-1) ?? null,
      eventCursor: page.eventCursor ?? null,
    },
  };
}
