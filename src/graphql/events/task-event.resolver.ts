import {
  Arg,
  Authorized,
  Ctx,
  FieldResolver,
  ID,
  Int,
  Query,
  Resolver,
  type SubscribeResolverData,
  Root,
  Subscription,
} from 'type-graphql';
import { type TaskEvent } from '../../core/events/task-event.js';
import { type Task } from '../../core/tasks/task.js';
import { History } from '../../services/tasks/history.js';
import { TaskEventConnection, toConnection } from '../relay/connection.type.js';
import { type Context, taskOf } from '../server/context.js';
import { watchSource } from './subscriptions.js';
import { TaskEventFilterInput } from './task-event-filter.input.js';
import { TaskEventType } from './task-event.type.js';
import { TaskType } from '../tasks/task.type.js';

interface TaskArgs {
  id: string;
  after?: string | null;
}
interface WorkspaceArgs {
  after?: string | null;
  filter?: TaskEventFilterInput | null;
}

@Resolver(() => TaskEventType)
export class TaskEventResolver {
  constructor(private readonly history: History) {}

  @Authorized('tasks:read')
  @Query(() => TaskEventConnection, {
    description:
      "The workspace's events, oldest first, however old. The cursors are those of the subscription: read to the end, subscribe after its `pageInfo.logCursor`, and nothing is missed.",
  })
  async taskEvents(
    @Ctx() { caller }: Context,
    @Arg('first', () => Int, { defaultValue: 50, description: 'How many, 1 to 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'A cursor: only what came after it.' })
    after: string | null,
    @Arg('filter', () => TaskEventFilterInput, { nullable: true, description: 'Which ones; absent: all.' })
    filter: TaskEventFilterInput | null,
  ) {
    return toConnection(await this.history.pageOfWorkspaceEvents(caller, filter ?? {}, first, after ?? null));
  }

  @Authorized('tasks:read')
  @Subscription(() => TaskEventType, {
    description:
      "One task's events, each once and in order, until the task has ended and its images are stored or lost; then the stream completes. The first delivery is the task as it stands, unless `after` says where to go on.",
    subscribe: ({ args, context }: SubscribeResolverData<unknown, TaskArgs, Context>) =>
      watchSource(context.watching.task(context.caller, args.id, args.after ?? null)),
  })
  taskUpdated(
    @Root() event: TaskEvent,
    @Arg('id', () => ID, { description: 'The id of the task.' }) _id: string,
    @Arg('after', () => String, { nullable: true, description: 'A cursor: only what came after it.' })
    _after: string | null,
  ): TaskEvent {
    return event;
  }

  @Authorized('tasks:read')
  @Subscription(() => TaskEventType, {
    name: 'taskEvents',
    description:
      'All events of the workspace, each once and in order, across reconnects: from `after`, or from now. It does not end by itself; give the cursor of the last event that you have handled to go on.',
    subscribe: ({ args, context }: SubscribeResolverData<unknown, WorkspaceArgs, Context>) =>
      watchSource(context.watching.workspace(context.caller, args.after ?? null, args.filter ?? {})),
  })
  watchTaskEvents(
    @Root() event: TaskEvent,
    @Arg('after', () => String, { nullable: true, description: 'A cursor: only what came after it.' })
    _after: string | null,
    @Arg('filter', () => TaskEventFilterInput, { nullable: true, description: 'Which ones; absent: all.' })
    _filter: TaskEventFilterInput | null,
  ): TaskEvent {
    return event;
  }

  @FieldResolver(() => String, { description: 'Opaque: the place just after this event, for `after`.' })
  cursor(@Root() event: TaskEvent): string {
    return this.history.cursorAt(event.position);
  }

  @FieldResolver(() => TaskType, { description: 'The task as it is now.' })
  task(@Root() event: TaskEvent, @Ctx() context: Context): Promise<Task> {
    return taskOf(context, event.taskId);
  }
}
