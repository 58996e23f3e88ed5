import { type Caller } from '../../core/access/caller.js';
import { BadRequest } from '../../core/errors.js';
import { type TaskEvent } from '../../core/events/task-event.js';
import { isId } from '../../core/primitives/ids.js';
import { type Image } from '../../core/images/image.js';
import { type Task } from '../../core/tasks/task.js';
import { type EventFilter } from '../../db/events/event-repository.js';
import { MAX_LISTED_TASKS, type TaskListing } from '../../db/tasks/task-listing.js';
import { type TaskFilter } from '../../db/tasks/task-pages.js';
import {
  type SelectedImage,
  type SelectedTask,
  selectionOf,
  type TaskSelection,
  unionOf,
} from '../../db/tasks/task-selection.js';
import { BY_ID, type PageOrder } from '../pagination/page-cursors.js';
import { type Page, type PageRequest, readPage } from '../pagination/read-page.js';
import { type Dependencies } from '../dependencies.js';

export { selectionOf };
export type { Page, SelectedImage, SelectedTask, TaskFilter, TaskListing, TaskSelection };

/** Far more than a person types. Each word costs a lookup in the index. */
const MAX_SEARCH_LENGTH = 500;

/** Reads tasks, images and events for a caller. Those of another workspace are treated as if they did not exist. */
export class TaskReads {
  private readonly byPosition: PageOrder<TaskEvent, bigint> = {
    cursorOf: ({ position }) => this.cursorAt(position),
    positionOf: (cursor) => this.deps.cursors.decode(cursor),
  };

  constructor(private readonly deps: Pick<Dependencies, 'cursors' | 'events' | 'images' | 'tasks'>) {}

  /** The caller's tasks with these IDs, in the given order. Null for each ID without a visible task. */
  async tasks(caller: Caller, ids: readonly string[]): Promise<(Task | null)[]> {
    const found = await this.deps.tasks.findMany(caller, ids.filter(isId));
    return alignToIds(ids, found);
  }

  /** The same for tasks of which only a part is needed. One statement reads what any of them needs. */
  async selectedTasks(
    caller: Caller,
    tasks: readonly { id: string; selection: TaskSelection }[],
  ): Promise<(SelectedTask | null)[]> {
    const ids = tasks.map(({ id }) => id);
    const selection = unionOf(tasks.map((task) => task.selection));
    const found = await this.deps.tasks.findSelected(caller, { ids: ids.filter(isId), selection });
    return alignToIds(ids, found);
  }

  /**
   * Queue positions, from 1, of the tasks with these IDs, in the given order. Null for each task that is not queued.
   */
  async queuePositions(caller: Caller, ids: readonly string[]): Promise<(number | null)[]> {
    const positions = await this.deps.tasks.queuePositions(caller.workspaceId, ids);
    return ids.map((id) => positions.get(id) ?? null);
  }

  /** The caller's images with these IDs, in the given order. Null for each ID without a visible image. */
  async images(caller: Caller, ids: readonly string[]): Promise<(Image | null)[]> {
    const found = await this.deps.images.findMany(caller, ids.filter(isId));
    return alignToIds(ids, found);
  }

  /** The images of each task. Only for tasks that the caller may see, because it checks no visibility itself. */
  async imagesByTask(
    { workspaceId }: Pick<Caller, 'workspaceId'>,
    taskIds: readonly string[],
  ): Promise<Image[][]> {
    const images = await this.deps.images.findByTasks(workspaceId, taskIds);
    return taskIds.map((taskId) => images.filter((image) => image.taskId === taskId));
  }

  /**
   * A page of the caller's tasks, newest first, with what is selected of them. Throws BadRequest for an invalid page size,
   * cursor or filter.
   */
  async pageOfTasks(
    caller: Caller,
    filter: TaskFilter,
    { selection, ...page }: PageRequest & { selection: TaskSelection },
  ): Promise<Page<SelectedTask>> {
    if ([filter.search ?? '', ...(filter.models ?? [])].some((text) => text.includes('\0'))) {
      throw new BadRequest('The filter contains a NUL character. Remove it.');
    }
    const searchLength = filter.search?.length ?? 0;
    if (searchLength > MAX_SEARCH_LENGTH) {
      throw new BadRequest(
        `\`search\` has ${searchLength} characters. Shorten it to at most ${MAX_SEARCH_LENGTH}.`,
      );
    }
    const read = (): Promise<Page<SelectedTask>> =>
      readPage(page, BY_ID, (before, limit) =>
        this.deps.tasks.page(caller, filter, { before, limit, selection }),
      );
    return this.withEventCursor(read, ({ items: [task] }) => task && BigInt(task.eventLogPosition));
  }

  /**
   * The caller's tasks in a listing, newest first, and the number of all that match, up to 1,000. Throws BadRequest for an
   * offset beyond that.
   */
  async listTasks(caller: Caller, listing: TaskListing): Promise<{ tasks: Task[]; count: number }> {
    if (listing.offset > MAX_LISTED_TASKS) {
      throw new BadRequest(
        `\`offset\` is ${listing.offset}. Use at most ${MAX_LISTED_TASKS}, and then \`created_at_max\` with the time of the last task.`,
      );
    }
    return this.deps.tasks.list(caller, listing);
  }

  /** A page of the visible images that were edited from this one, oldest first. Throws BadRequest. */
  pageOfEdits(caller: Caller, imageId: string, page: PageRequest): Promise<Page<Image>> {
    return readPage(page, BY_ID, (after, limit) =>
      this.deps.images.pageOfEdits(caller, { parentId: imageId, after, limit }),
    );
  }

  /** A page of a task's events, oldest first. Throws BadRequest or CursorInvalid. */
  pageOfEvents(
    { workspaceId, id }: Pick<Task, 'workspaceId' | 'id'>,
    page: PageRequest,
  ): Promise<Page<TaskEvent>> {
    return readPage(page, this.byPosition, (after, limit) =>
      this.deps.events.readTaskAfter({ workspaceId, taskId: id }, after ?? 0n, limit),
    );
  }

  /**
   * A page of the workspace's events, oldest first and without a limit on age. The cursors are those of
   * subscriptions: a client that has read the last page subscribes after its `eventCursor` and misses nothing, even
   * when the page is empty. Throws BadRequest or CursorInvalid.
   */
  async pageOfWorkspaceEvents(
    caller: Caller,
    filter: EventFilter,
    page: PageRequest,
  ): Promise<Page<TaskEvent>> {
    const taskIds = filter.taskIds?.filter(isId);
    const isAlwaysEmpty = taskIds?.length === 0 && filter.taskIds?.length !== 0;
    const validFilter = { ...filter, taskIds };
    const read = (): Promise<Page<TaskEvent>> =>
      readPage(page, this.byPosition, (after, limit) =>
        isAlwaysEmpty
          ? []
          : this.deps.events.readVisibleAfter(caller, { position: after ?? 0n, limit, ...validFilter }),
      );
    return this.withEventCursor(read, ({ items }) => items.at(-1)?.position);
  }

  /**
   * Adds a cursor such that every event which the page does not reflect comes after it. The items themselves carry it.
   * When there are none, the log's head is read first, and then the page again.
   */
  private async withEventCursor<Item>(
    read: () => Promise<Page<Item>>,
    positionOf: (page: Page<Item>) => bigint | undefined,
  ): Promise<Page<Item>> {
    const withCursor = (page: Page<Item>, position: bigint) => ({
      ...page,
      eventCursor: () => this.cursorAt(position),
    });
    const page = await read();
    const position = positionOf(page);
    if (position !== undefined) return withCursor(page, position);
    const head = await this.deps.events.headPosition();
    const reread = await read();
    return withCursor(reread, positionOf(reread) ?? head);
  }

  /** The cursor of a position in the event log. */
  cursorAt(position: bigint): string {
    return this.deps.cursors.encode(position);
  }
}

/** The items in the order of `ids`, with null for each ID without an item. */
function alignToIds<Item extends { id: string }>(ids: readonly string[], found: Item[]): (Item | null)[] {
  const byId = new Map(found.map((item) => [item.id, item]));
  return ids.map((id) => byId.get(id.toLowerCase()) ?? null);
}
