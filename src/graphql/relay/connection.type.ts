import { type ClassType, Field, ObjectType } from 'type-graphql';
import { type Page } from '../../services/pagination.js';

@ObjectType('PageInfo', {
  description: 'Position of a page in its list, as in the Relay specification.',
  simpleResolvers: true,
})
class PageInfoType {
  @Field(() => Boolean, { description: 'Whether more items follow this page.' })
  hasNextPage!: boolean;

  @Field(() => Boolean, { description: 'Whether `after` was given, so that items may precede this page.' })
  hasPreviousPage!: boolean;

  @Field(() => String, { nullable: true, description: 'Cursor of the first item. Null on an empty page.' })
  startCursor!: string | null;

  @Field(() => String, {
    nullable: true,
    description: 'Cursor of the last item. Pass it as `after` to get the next page. Null on an empty page.',
  })
  endCursor!: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Event log cursor to pass as `after` to a subscription. The subscription then delivers every event that this page does not reflect. Set by the queries `tasks` and `taskEvents`, even on an empty page. Null in other lists.',
  })
  eventCursor!: string | null;
}

/** Creates the Relay connection of a type. `items` names them with their order: "tasks, newest first". */
export function createConnectionType<Node extends object>(
  name: string,
  nodeType: ClassType<Node>,
  items: string,
) {
  @ObjectType(`${name}Edge`, { description: 'A list item with its cursor.', simpleResolvers: true })
  class Edge {
    @Field(() => String, {
      description: 'Opaque cursor of this item. Pass it as `after` to get the items that follow.',
    })
    cursor!: string;

    @Field(() => nodeType, { description: 'The item.' })
    node!: Node;
  }

  @ObjectType(`${name}Connection`, { description: `A page of ${items}.`, simpleResolvers: true })
  class Connection {
    @Field(() => [Edge], { description: 'The items with their cursors.' })
    edges!: Edge[];

    @Field(() => [nodeType], { description: 'The items.' })
    nodes!: Node[];

    @Field(() => PageInfoType, { description: 'Position of the page in the list.' })
    pageInfo!: PageInfoType;
  }
  return Connection;
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
