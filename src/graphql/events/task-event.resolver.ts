import {
  Arg,
  Args,
  Authorized,
  Ctx,
  FieldResolver,
  ID,
  Query,
  Resolver,
  Root,
  type SubscribeResolverData,
  Subscription,
} from 'type-graphql';
import { type TaskEvent } from '../../core/events/task-event.js';
import { type Task } from '../../core/tasks/task.js';
import { type EventFilter } from '../../services/events/event-subscriptions.js';
import { TaskReads } from '../../services/tasks/task-reads.js';
import { toConnection } from '../relay/connection.type.js';
import { EventPageArgs } from '../relay/page-args.js';
import { Filter } from '../server/argument-decorators.js';
import { type Context, loadTask } from '../server/context.js';
import { toSubscriptionSource } from '../server/operation-runner.js';
import { TaskType } from '../tasks/task.type.js';
import { TaskEventConnection, TaskEventFilterInput, TaskEventType } from './task-event.type.js';

interface TaskUpdatedArgs {
  id: string;
  after?: string | null;
}
interface TaskEventsArgs {
  after?: string | null;
  filter?: EventFilter | null;
}

const AFTER_DESCRIPTION =
  'Event log cursor, by default at most 30 days old. Only later events are delivered. An older cursor gives the error CURSOR_EXPIRED.';

@Resolver(() => TaskEventType)
export class TaskEventResolver {
  constructor(private readonly taskReads: TaskReads) {}

  @Authorized('tasks:read')
  @Query(() => TaskEventConnection, {
    description:
      'Events of the workspace, oldest first and without an age limit. The subscription uses the same cursors. To miss nothing, read to the last page, then subscribe after its `pageInfo.eventCursor`. Requires the scope `tasks:read`.',
  })
  async taskEvents(
    @Ctx() { caller }: Context,
    @Args() page: EventPageArgs,
    @Filter(TaskEventFilterInput, 'all events') filter: EventFilter | null,
  ) {
    return toConnection(await this.taskReads.pageOfWorkspaceEvents(caller, filter ?? {}, page));
  }

  @Authorized('tasks:read')
  @Subscription(() => TaskEventType, {
    description:
      'Events of one task, each exactly once and in order. The stream completes when the task is final and each of its images is stored or lost. Without `after`, the stream starts with the latest event of the task, so that you learn its current state. Requires the scope `tasks:read`.',
    subscribe: ({ args, context }: SubscribeResolverData<unknown, TaskUpdatedArgs, Context>) =>
      toSubscriptionSource(
        context.eventSubscriptions.subscribeToTask(context.caller, args.id, args.after ?? null),
      ),
  })
  taskUpdated(
    @Root() event: TaskEvent,
    @Arg('id', () => ID, { description: 'ID of the task.' }) _id: string,
    @Arg('after', () => String, { nullable: true, description: AFTER_DESCRIPTION }) _after: string | null,
  ): TaskEvent {
    return event;
  }

  @Authorized('tasks:read')
  @Subscription(() => TaskEventType, {
    name: 'taskEvents',
    description:
      'Events of the workspace, each exactly once and in order. Without `after`, the stream starts with the next event. The stream does not complete. To resume after a disconnect, pass the cursor of the last event you handled. Requires the scope `tasks:read`.',
    subscribe: ({ args, context }: SubscribeResolverData<unknown, TaskEventsArgs, Context>) =>
      toSubscriptionSource(
        context.eventSubscriptions.subscribeToWorkspace(
          context.caller,
          args.after ?? null,
          args.filter ?? {},
        ),
      ),
  })
  subscribeToTaskEvents(
    @Root() event: TaskEvent,
    @Arg('after', () => String, { nullable: true, description: AFTER_DESCRIPTION }) _after: string | null,
    @Filter(TaskEventFilterInput, 'all events') _filter: EventFilter | null,
  ): TaskEvent {
    return event;
  }

  @FieldResolver(() => String, { description: 'Opaque event log cursor of this event, for `after`.' })
  cursor(@Root() event: TaskEvent): string {
    return this.taskReads.cursorAt(event.position);
  }

  @FieldResolver(() => TaskType, { description: 'The task in its current state, not as of the event.' })
  task(@Root() event: TaskEvent, @Ctx() context: Context): Promise<Task> {
    return loadTask(context, event.taskId);
  }
}
