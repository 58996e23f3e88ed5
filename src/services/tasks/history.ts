import { type Caller } from '../../core/access/caller.js';
import { type EventCursorCodec } from '../../core/events/event-cursor.js';
import { BadRequest } from '../../core/errors.js';
import { type TaskEvent } from '../../core/events/task-event.js';
import { isId } from '../../core/primitives/ids.js';
import { type Image } from '../../core/images/image.js';
import { type Task } from '../../core/tasks/task.js';
import { type EventFilter, type EventRepository } from '../../db/events/event-repository.js';
import { type ImageRepository } from '../../db/images/image-repository.js';
import { type TaskFilter } from '../../db/tasks/task-pages.js';
import { type TaskRepository } from '../../db/tasks/task-repository.js';
import { invalidCursor, type Page, toPage, validatePageSize } from '../pagination.js';

export type { Page, TaskFilter };

/** Reads tasks, images and events for a caller. Those of another workspace are treated as if they did not exist. */
export class History {
  constructor(
    private readonly taskRepository: TaskRepository,
    private readonly imageRepository: ImageRepository,
    private readonly eventRepository: EventRepository,
    private readonly cursors: EventCursorCodec,
  ) {}

  /** The caller's tasks with these IDs, in the given order. Null for each ID without a visible task. */
  async tasks(caller: Caller, ids: readonly string[]): Promise<(Task | null)[]> {
    const found = await this.taskRepository.findMany(caller, ids.filter(isId));
    return alignToIds(ids, found, (task) => task.id);
  }

  /**
   * Queue positions, from 1, of the tasks with these IDs, in the given order. Null for each task that is not queued.
   */
  async queuePositions(caller: Caller, ids: readonly string[]): Promise<(number | null)[]> {
    const positions = await this.taskRepository.queuePositions(caller.workspaceId, ids);
    return ids.map((id) => positions.get(id) ?? null);
  }

  /** The caller's images with these IDs, in the given order. Null for each ID without a visible image. */
  async images(caller: Caller, ids: readonly string[]): Promise<(Image | null)[]> {
    const found = await this.imageRepository.findMany(caller, ids.filter(isId));
    return alignToIds(ids, found, (image) => image.id);
  }

  /** The images of each task. Only for tasks that the caller may see, because it checks no visibility itself. */
  async imagesByTask(
    { workspaceId }: Pick<Caller, 'workspaceId'>,
    taskIds: readonly string[],
  ): Promise<Image[][]> {
    const images = await this.imageRepository.findByTasks(workspaceId, taskIds);
    return taskIds.map((taskId) => images.filter((image) => image.taskId === taskId));
  }

  /** A page of the caller's tasks, newest first. Throws BadRequest for an invalid page size, cursor or filter. */
  async pageOfTasks(
    caller: Caller,
    filter: TaskFilter,
    first: number,
    after: string | null,
  ): Promise<Page<Task>> {
    validatePageSize(first);
    if (after !== null && !isId(after)) {
      throw invalidCursor();
    }
    if ([filter.search ?? '', ...(filter.models ?? [])].some((text) => text.includes('\0'))) {
      throw new BadRequest('The filter contains a NUL character. Remove it.');
    }
    const read = () => this.taskRepository.page(caller, filter, { before: after, limit: first + 1 });
    const { rows, position } = await this.readWithPosition(read, (task) => BigInt(task.eventLogPosition));
    const page = toPage(rows, first, after !== null, (task) => task.id);
    return { ...page, eventCursor: this.cursors.encode(position) };
  }

  /** A page of the visible images that were edited from this one, oldest first. Throws BadRequest. */
  async pageOfEdits(
    caller: Caller,
    imageId: string,
    first: number,
    after: string | null,
  ): Promise<Page<Image>> {
    validatePageSize(first);
    if (after !== null && !isId(after)) throw invalidCursor();
    const rows = await this.imageRepository.pageOfEdits(caller, {
      parentId: imageId,
      after,
      limit: first + 1,
    });
    return toPage(rows, first, after !== null, (image) => image.id);
  }

  /** A page of a task's events, oldest first. Throws BadRequest or CursorInvalid. */
  async pageOfEvents(
    { workspaceId, id }: Pick<Task, 'workspaceId' | 'id'>,
    first: number,
    after: string | null,
  ): Promise<Page<TaskEvent>> {
    validatePageSize(first);
    const position = after === null ? 0n : this.cursors.decode(after);
    const rows = await this.eventRepository.readTaskAfter({ workspaceId, taskId: id }, position, first + 1);
    return toPage(rows, first, after !== null, (event) => this.cursors.encode(event.position));
  }

  /**
   * A page of the workspace's events, oldest first and without a limit on age. The cursors are those of
   * subscriptions: a client that has read the last page subscribes after its `eventCursor` and misses nothing, even
   * when the page is empty. Throws BadRequest or CursorInvalid.
   */
  async pageOfWorkspaceEvents(
    caller: Caller,
    filter: EventFilter,
    first: number,
    after: string | null,
  ): Promise<Page<TaskEvent>> {
    validatePageSize(first);
    const startPosition = after === null ? 0n : this.cursors.decode(after);
    const taskIds = filter.taskIds?.filter(isId);
    const isAlwaysEmpty = taskIds?.length === 0 && filter.taskIds?.length !== 0;
    const validFilter = { ...filter, taskIds };
    const read = async () =>
      isAlwaysEmpty
        ? []
        : this.eventRepository.readVisibleAfter(caller, {
            position: startPosition,
            limit: first + 1,
            ...validFilter,
          });
    const { rows, position } = await this.readWithPosition(read, () => startPosition);
    const page = toPage(rows, first, after !== null, (event) => this.cursors.encode(event.position));
    return { ...page, eventCursor: page.cursors.at(-1) ?? this.cursors.encode(position) };
  }

  /**
   * Reads rows together with a position of the log, such that every event which the rows do not reflect comes after
   * it. The rows themselves carry the position. When there are none, the log's head is read first, and then the rows
   * again.
   */
  private async readWithPosition<Row>(
    read: () => Promise<Row[]>,
    positionOf: (row: Row) => bigint,
  ): Promise<{ rows: Row[]; position: bigint }> {
    const rows = await read();
    if (rows[0]) return { rows, position: positionOf(rows[0]) };
    const head = await this.eventRepository.headPosition();
    const rereadRows = await read();
    return { rows: rereadRows, position: rereadRows[0] ? positionOf(rereadRows[0]) : head };
  }

  /** The cursor of a position in the event log. */
  cursorAt(position: bigint): string {
    return this.cursors.encode(position);
  }
}

/** The items in the order of `ids`, with null for each ID without an item. */
function alignToIds<Item>(
  ids: readonly string[],
  found: Item[],
  idOf: (item: Item) => string,
): (Item | null)[] {
  const byId = new Map(found.map((item) => [idOf(item), item]));
  return ids.map((id) => byId.get(id.toLowerCase()) ?? null);
}
