import {
  Arg,
  Authorized,
  Ctx,
  FieldResolver,
  ID,
  Resolver,
  type SubscribeResolverData,
  Root,
  Subscription,
} from 'type-graphql';
import { type TaskEvent } from '../core/events.js';
import { type Task } from '../core/task.js';
import { History } from '../services/history.js';
import { type Context, taskOf } from './context.js';
import { TaskEventType } from './task-event.type.js';
import { TaskType } from './task.type.js';

interface WatchArgs {
  id: string;
  after?: string | null;
}

@Resolver(() => TaskEventType)
export class TaskEventResolver {
  constructor(private readonly history: History) {}

  @Authorized('tasks:read')
  @Subscription(() => TaskEventType, {
    description:
      "One task's events, each once and in order, until the task has ended and its images are stored or lost; then the stream completes. The first delivery is the task as it stands, unless `after` says where to go on.",
    subscribe: ({ args, context }: SubscribeResolverData<unknown, WatchArgs, Context>) =>
      context.watchTask(args.id, args.after ?? null),
  })
  taskUpdated(
    @Root() event: TaskEvent,
    @Arg('id', () => ID, { description: 'The id of the task.' }) _id: string,
    @Arg('after', () => String, { nullable: true, description: 'A cursor: only what came after it.' })
    _after: string | null,
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
