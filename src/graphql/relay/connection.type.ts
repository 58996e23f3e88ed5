import { type ClassType, Field, ObjectType } from 'type-graphql';
import { type Page } from '../../services/tasks/history.js';
import { ApiKeyType } from '../access/api-key.type.js';
import { AuditEntryType } from '../access/audit-entry.type.js';
import { BudgetType } from '../billing/budget.type.js';
import { CallbackType } from '../callbacks/callback.type.js';
import { DeliveryType } from '../webhooks/webhook-delivery.type.js';
import { ImageType } from '../images/image.type.js';
import { TaskEventType } from '../events/task-event.type.js';
import { TaskType } from '../tasks/task.type.js';
import { UsageGroupType } from '../billing/usage.type.js';

@ObjectType('PageInfo', {
  description: 'Where a page stands in its list, as Relay defines it.',
  simpleResolvers: true,
})
class PageInfoType {
  @Field(() => Boolean, { description: 'Whether there is more after this page.' })
  hasNextPage!: boolean;

  @Field(() => Boolean, {
    description: 'Whether this page was asked for by a cursor, so that there is something before it.',
  })
  hasPreviousPage!: boolean;

  @Field(() => String, { nullable: true, description: 'Cursor of the first item; null on an empty page.' })
  startCursor!: string | null;

  @Field(() => String, { nullable: true, description: 'Cursor of the last item; `after` for the next page.' })
  endCursor!: string | null;

  @Field(() => String, {
    nullable: true,
    description:
      'Of `tasks` and `taskEvents`, also on an empty page: the `after` with which a subscription shows everything that this page does not. Null elsewhere.',
  })
  logCursor!: string | null;
}

/** The Relay connection of a type. */
function connectionOf<Node extends object>(name: string, nodeType: ClassType<Node>, order: string) {
  @ObjectType(`${name}Edge`, { description: `One ${name} and its place in the list.`, simpleResolvers: true })
  class Edge {
    @Field(() => String, { description: 'Opaque: the place just after this item.' })
    cursor!: string;

    @Field(() => nodeType, { description: 'The item.' })
    node!: Node;
  }

  @ObjectType(`${name}Connection`, { description: `A page of a list, ${order}.`, simpleResolvers: true })
  class Connection {
    @Field(() => [Edge], { description: 'The items with their cursors.' })
    edges!: Edge[];

    @Field(() => [nodeType], { description: 'The items.' })
    nodes!: Node[];

    @Field(() => PageInfoType, { description: 'Where the page stands.' })
    pageInfo!: PageInfoType;
  }
  return Connection;
}

export const ApiKeyConnection = connectionOf('ApiKey', ApiKeyType, 'newest first');
export const AuditEntryConnection = connectionOf('AuditEntry', AuditEntryType, 'newest first');
export const BudgetConnection = connectionOf('Budget', BudgetType, 'by scope, then by id');
export const CallbackConnection = connectionOf('Callback', CallbackType, 'newest first');
export const DeliveryConnection = connectionOf('Delivery', DeliveryType, 'newest first');
export const ImageConnection = connectionOf('Image', ImageType, 'oldest first');
export const TaskConnection = connectionOf('Task', TaskType, 'newest first');
export const TaskEventConnection = connectionOf('TaskEvent', TaskEventType, 'oldest first');
export const UsageConnection = connectionOf('UsageGroup', UsageGroupType, 'by key, then by currency');

/** A page as a Relay connection. */
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
      logCursor: page.logCursor ?? null,
    },
  };
}
