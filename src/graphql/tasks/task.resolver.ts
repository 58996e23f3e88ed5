import {
  Arg,
  Args,
  Authorized,
  Ctx,
  FieldResolver,
  ID,
  Int,
  Mutation,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import { type Image } from '../../core/images/image.js';
import { type Task, type TaskKind } from '../../core/tasks/task.js';
import { Generation } from '../../services/tasks/generation.js';
import {
  type SelectedImage,
  type SelectedTask,
  type TaskFilter,
  TaskReads,
} from '../../services/tasks/task-reads.js';
import { type ImageRequest } from '../../services/tasks/request-validation.js';
import { TaskControl } from '../../services/tasks/task-control.js';
import { TaskEventConnection } from '../events/task-event.type.js';
import { ImageType } from '../images/image.type.js';
import { toConnection } from '../relay/connection.type.js';
import { EventPageArgs, PageArgs } from '../relay/page-args.js';
import { withUserErrors } from '../relay/payload.type.js';
import { Filter, Input } from '../server/argument-decorators.js';
import { type Context } from '../server/context.js';
import {
  EditImageInput,
  EditImagePayload,
  GenerateImagesInput,
  GenerateImagesPayload,
} from './image-request.input.js';
import {
  CancelTaskInput,
  CancelTaskPayload,
  RetryTaskInput,
  RetryTaskPayload,
  TaskFilterInput,
} from './task.input.js';
import { NODES, ReadTasks, TASK, type TaskRead } from './task-selection.js';
import { TaskConnection, TaskCostType, TaskErrorType, TaskType } from './task.type.js';

/** The images are there if they were read with the task. */
type TaskWithImages = Pick<SelectedTask, 'id' | 'images'>;

@Resolver(() => TaskType)
export class TaskResolver {
  constructor(
    private readonly generation: Generation,
    private readonly taskControl: TaskControl,
    private readonly taskReads: TaskReads,
  ) {}

  @Authorized('tasks:write')
  @Mutation(() => GenerateImagesPayload, {
    description:
      'Requests images for a text prompt and returns a task at once. Subscribe to `taskUpdated` to follow the task. An acknowledged task always reaches a final status, and a request that the upstream may have accepted is never sent again. Requires the scope `tasks:write`.',
  })
  generateImages(
    @Ctx() context: Context,
    @Input(GenerateImagesInput, 'The images to generate.') input: ImageRequest,
  ) {
    return this.requestTask(context, 'GENERATE', input);
  }

  @Authorized('tasks:write')
  @Mutation(() => EditImagePayload, {
    description:
      'Requests an edit of an image and returns a task at once. The guarantees of `generateImages` apply. Requires the scope `tasks:write`.',
  })
  editImage(
    @Ctx() context: Context,
    @Input(EditImageInput, 'The source image and the change.') input: ImageRequest,
  ) {
    return this.requestTask(context, 'EDIT', input);
  }

  @Authorized('tasks:write')
  @Mutation(() => CancelTaskPayload, {
    description:
      'Cancels a task. A task that has not been sent to the upstream is never sent. A task that was sent cannot be stopped, and the upstream may bill it. Requires the scope `tasks:write`.',
  })
  cancelTask(
    @Ctx() { caller }: Context,
    @Input(CancelTaskInput, 'The task to cancel.') { id }: InstanceType<typeof CancelTaskInput>,
  ) {
    return withUserErrors(() => this.taskControl.cancel(caller, id));
  }

  @Authorized('tasks:write')
  @Mutation(() => RetryTaskPayload, {
    description:
      'Creates a new task with the input of a final one. `Task.retryOf` of the new task links the two. The upstream may bill both tasks, so Darkroom never does this on its own. Requires the scope `tasks:write`.',
  })
  retryTask(
    @Ctx() context: Context,
    @Input(RetryTaskInput, 'The task to repeat.') input: InstanceType<typeof RetryTaskInput>,
  ) {
    const { caller, traceId } = context;
    const idempotencyKey = input.idempotencyKey ?? context.idempotencyKey;
    return withUserErrors(() => this.taskControl.retry(caller, input.id, { idempotencyKey, traceId }));
  }

  @Authorized('tasks:read')
  @Query(() => TaskType, {
    nullable: true,
    description: 'One task. Null if no task has this ID. Requires the scope `tasks:read`.',
  })
  task(
    @ReadTasks(TASK) { selectedTasks, selection }: TaskRead,
    @Arg('id', () => ID, { description: 'ID of the task.' }) id: string,
  ): Promise<SelectedTask | null> {
    return selectedTasks.load({ id, selection });
  }

  @Authorized('tasks:read')
  @Query(() => TaskConnection, {
    description: 'Tasks of the workspace, newest first. Requires the scope `tasks:read`.',
  })
  async tasks(
    @ReadTasks(NODES) { caller, selection }: TaskRead,
    @Args() page: PageArgs,
    @Filter(TaskFilterInput, 'all tasks') filter: TaskFilter | null,
  ) {
    return toConnection(await this.taskReads.pageOfTasks(caller, filter ?? {}, { ...page, selection }));
  }

  @FieldResolver(() => [ImageType], {
    description: "Images in the order of the upstream's result. Late images are in `lateImages` instead.",
  })
  images(@Root() task: TaskWithImages, @Ctx() { imagesByTask }: Context) {
    const inTime = (images: readonly SelectedImage[]) => images.filter((image) => !image.late);
    return task.images ? inTime(task.images) : imagesByTask.load(task.id).then(inTime);
  }

  @FieldResolver(() => [ImageType], {
    description:
      'Images that arrived after the task was final. A task that succeeded with some of its images can get the rest here.',
  })
  lateImages(@Root() task: TaskWithImages, @Ctx() { imagesByTask }: Context) {
    const late = (images: readonly SelectedImage[]) => images.filter((image) => image.late);
    return task.images ? late(task.images) : imagesByTask.load(task.id).then(late);
  }

  @FieldResolver(() => ImageType, {
    nullable: true,
    description:
      'Source image of an edit. Null if the task is not an edit, or if Darkroom does not store the image.',
  })
  sourceImage(@Root() task: Task, @Ctx() { images }: Context): Promise<Image | null> | null {
    return task.sourceImageId ? images.load(task.sourceImageId) : null;
  }

  @FieldResolver(() => TaskType, {
    nullable: true,
    description: 'Task that this one repeats. Null if it repeats none.',
  })
  retryOf(@Root() task: Task, @Ctx() { tasks }: Context): Promise<Task | null> | null {
    return task.retryOfId ? tasks.load(task.retryOfId) : null;
  }

  @FieldResolver(() => Int, {
    nullable: true,
    description:
      '1-based position in the queue, assuming no new tasks arrive. The value 1000 means position 1,000 or later. Workspaces alternate, and so do the end users of a workspace. The tasks of an end user are ordered by priority, then by age. See docs/PROTOCOL.md, "Fair scheduling". Null unless the status is QUEUED.',
  })
  queuePosition(@Root() task: Task, @Ctx() { queuePositions }: Context): Promise<number | null> | null {
    return task.status === 'QUEUED' ? queuePositions.load(task.id) : null;
  }

  @FieldResolver(() => TaskErrorType, {
    nullable: true,
    description: 'Reason why the task has no images. Null unless it failed or expired.',
  })
  error(@Root() task: Task) {
    return task.failure;
  }

  @FieldResolver(() => TaskCostType, { description: 'Estimated and final cost.' })
  cost(@Root() { estimatedCost, finalCost, currency }: Task) {
    return { estimated: estimatedCost, final: finalCost, currency };
  }

  @FieldResolver(() => String, {
    description:
      'Event log cursor from just before the task was read. Pass it as `after` to a subscription to miss no event. The subscription can deliver events that this result already reflects.',
  })
  eventCursor(@Root() task: Task): string {
    return this.taskReads.cursorAt(BigInt(task.eventLogPosition));
  }

  @FieldResolver(() => TaskEventConnection, { description: 'Events of the task, oldest first.' })
  async events(@Root() task: Task, @Args() page: EventPageArgs) {
    return toConnection(await this.taskReads.pageOfEvents(task, page));
  }

  private requestTask({ caller, idempotencyKey, traceId }: Context, kind: TaskKind, input: ImageRequest) {
    const request = { ...input, idempotencyKey: input.idempotencyKey ?? idempotencyKey };
    return withUserErrors(() => this.generation.request(caller, request, { kind, traceId }), {
      replayed: false,
    });
  }
}
