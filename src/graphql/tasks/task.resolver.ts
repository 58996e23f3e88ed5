import { Arg, Authorized, Ctx, FieldResolver, ID, Int, Mutation, Query, Resolver, Root } from 'type-graphql';
import { type Image } from '../../core/images/image.js';
import { type Task, type TaskKind } from '../../core/tasks/task.js';
import { Generation } from '../../services/tasks/generation.js';
import { History } from '../../services/tasks/history.js';
import { type Wish } from '../../services/tasks/request-validation.js';
import { TaskConnection, TaskEventConnection, toConnection } from '../relay/connection.type.js';
import { type Context } from '../server/context.js';
import { EditImageInput, EditImagePayload } from './edit-image.input.js';
import { GenerateImagesInput, GenerateImagesPayload } from './generate-images.input.js';
import { ImageType } from '../images/image.type.js';
import { TaskFilterInput } from './task-filter.input.js';
import { TaskCostType, TaskErrorType, TaskType } from './task.type.js';
import { withUserErrors } from '../relay/user-error.type.js';

@Resolver(() => TaskType)
export class TaskResolver {
  constructor(
    private readonly generation: Generation,
    private readonly history: History,
  ) {}

  @Authorized('tasks:write')
  @Mutation(() => GenerateImagesPayload, {
    description:
      'Asks for pictures. The answer comes at once, with a task; watch it with taskUpdated. Once answered, the task reaches an end whatever happens, and is sent to the upstream at most once.',
  })
  generateImages(
    @Ctx() context: Context,
    @Arg('input', () => GenerateImagesInput, { description: 'What to make.' }) input: GenerateImagesInput,
  ) {
    return this.request(context, 'GENERATE', input);
  }

  @Authorized('tasks:write')
  @Mutation(() => EditImagePayload, {
    description: 'Asks for a picture to be changed. Promises the same as generateImages.',
  })
  editImage(
    @Ctx() context: Context,
    @Arg('input', () => EditImageInput, { description: 'What to change, and how.' }) input: EditImageInput,
  ) {
    return this.request(context, 'EDIT', input);
  }

  @Authorized('tasks:read')
  @Query(() => TaskType, { nullable: true, description: 'One task; null when there is none with this id.' })
  task(
    @Ctx() { tasks }: Context,
    @Arg('id', () => ID, { description: 'The id of the task.' }) id: string,
  ): Promise<Task | null> {
    return tasks.load(id);
  }

  @Authorized('tasks:read')
  @Query(() => TaskConnection, { description: "The workspace's tasks, newest first." })
  async tasks(
    @Ctx() { caller }: Context,
    @Arg('first', () => Int, { defaultValue: 20, description: 'How many, 1 to 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'endCursor of the page before.' })
    after: string | null,
    @Arg('filter', () => TaskFilterInput, { nullable: true, description: 'Which ones; absent: all.' })
    filter: TaskFilterInput | null,
  ) {
    return toConnection(await this.history.pageOfTasks(caller, filter ?? {}, first, after ?? null));
  }

  @FieldResolver(() => [ImageType], {
    description: "The pictures, in the upstream's order. Late ones are not here but in lateImages.",
  })
  async images(@Root() task: Task, @Ctx() { imagesOfTask }: Context): Promise<Image[]> {
    return (await imagesOfTask.load(task.id)).filter((image) => !image.late);
  }

  @FieldResolver(() => [ImageType], { description: 'Pictures that came after the task had ended.' })
  async lateImages(@Root() task: Task, @Ctx() { imagesOfTask }: Context): Promise<Image[]> {
    return (await imagesOfTask.load(task.id)).filter((image) => image.late);
  }

  @FieldResolver(() => ImageType, {
    nullable: true,
    description: 'What an edit started from, when it is one of ours.',
  })
  sourceImage(@Root() task: Task, @Ctx() { images }: Context): Promise<Image | null> | null {
    return task.sourceImageId ? images.load(task.sourceImageId) : null;
  }

  @FieldResolver(() => TaskType, { nullable: true, description: 'The task that this one asks for again.' })
  retryOf(@Root() task: Task, @Ctx() { tasks }: Context): Promise<Task | null> | null {
    return task.retryOfId ? tasks.load(task.retryOfId) : null;
  }

  @FieldResolver(() => Int, {
    nullable: true,
    description:
      'In which turn it will be sent, from 1, when nothing else is asked for. Workspaces take turns, then the end users of each, then the tasks of each by priority and age: see docs/PROTOCOL.md, "Turns". Null unless QUEUED.',
  })
  queuePosition(@Root() task: Task, @Ctx() { queuePositions }: Context): Promise<number | null> | null {
    return task.status === 'QUEUED' ? queuePositions.load(task.id) : null;
  }

  @FieldResolver(() => TaskErrorType, { nullable: true, description: 'Why there are no pictures.' })
  error(@Root() task: Task) {
    return task.failure;
  }

  @FieldResolver(() => TaskCostType, { description: 'What it costs.' })
  cost(@Root() { estimatedCost, finalCost, currency }: Task): TaskCostType {
    return { estimated: estimatedCost, final: finalCost, currency };
  }

  @FieldResolver(() => String, {
    description:
      "The log's position just before this answer was read: query the task, then subscribe after it, and nothing is missed. An event seen in both is possible, a lost one is not.",
  })
  cursor(@Root() task: Task): string {
    return this.history.cursorAt(BigInt(task.logPosition));
  }

  @FieldResolver(() => TaskEventConnection, { description: "The task's history, oldest first." })
  async events(
    @Root() task: Task,
    @Arg('first', () => Int, { defaultValue: 50, description: 'How many, 1 to 100.' }) first: number,
    @Arg('after', () => String, { nullable: true, description: 'endCursor of the page before.' })
    after: string | null,
  ) {
    return toConnection(await this.history.pageOfEvents(task, first, after ?? null));
  }

  private request({ caller, idempotencyKey, traceId }: Context, kind: TaskKind, input: Wish) {
    const wish = { ...input, idempotencyKey: input.idempotencyKey ?? idempotencyKey };
    return withUserErrors({ task: null, replayed: false }, () =>
      this.generation.request(caller, kind, wish, { traceId }),
    );
  }
}
