import { type Caller } from '../../core/access/caller.js';
import { type EventCursors } from '../../core/events/event-cursor.js';
import { BadRequest } from '../../core/errors.js';
import { type TaskEvent } from '../../core/events/task-event.js';
import { isId } from '../../core/primitives/ids.js';
import { type Image } from '../../core/images/image.js';
import { type Task } from '../../core/tasks/task.js';
import { type Database } from '../../db/postgres/database.js';
import { type EventFilter, type Events } from '../../db/events/event-repository.js';
import { type Images } from '../../db/images/image-repository.js';
import { findQueuePositions } from '../../db/tasks/queue-positions.js';
import { pageOfTasks, type TaskFilter } from '../../db/tasks/task-pages.js';
import { type Tasks } from '../../db/tasks/task-repository.js';

import { checkPageSize, type Page, toPage } from '../pagination.js';

export type { Page, TaskFilter };

/** What has happened, for a caller to read. A foreign id is exactly as absent as one that never existed. */
export class History {
  constructor(
    private readonly db: Database,
    private readonly taskRows: Tasks,
    private readonly imageRows: Images,
    private readonly eventRows: Events,
    private readonly cursors: EventCursors,
  ) {}

  /** The caller's tasks among these ids, in their order; null where there is none. */
  async tasks(caller: Caller, ids: readonly string[]): Promise<(Task | null)[]> {
    const found = await this.taskRows.findMany(caller, ids.filter(isId));
    return inOrder(ids, found, (task) => task.id);
  }

  /** The turns in which the caller's tasks among these ids will be sent, in their order; null for what is not queued. */
  async queuePositions(caller: Caller, ids: readonly string[]): Promise<(number | null)[]> {
    const positions = await findQueuePositions(this.db, caller.workspaceId, ids);
    return ids.map((id) => positions.get(id) ?? null);
  }

  /** The caller's images among these ids, in their order; null where there is none. */
  async images(caller: Caller, ids: readonly string[]): Promise<(Image | null)[]> {
    const found = await this.imageRows.findMany(caller, ids.filter(isId));
    return inOrder(ids, found, (image) => image.id);
  }

  /** The images of tasks that the caller was shown, task by task. */
  async imagesOf(
    { workspaceId }: Pick<Caller, 'workspaceId'>,
    taskIds: readonly string[],
  ): Promise<Image[][]> {
    const images = await this.imageRows.findByTasks(workspaceId, taskIds);
    return taskIds.map((taskId) => images.filter((image) => image.taskId === taskId));
  }

  /** A page of the caller's tasks, newest first. Throws BadRequest for a size or a cursor that cannot be. */
  async pageOfTasks(
    caller: Caller,
    filter: TaskFilter,
    first: number,
    after: string | null,
  ): Promise<Page<Task>> {
    checkPageSize(first);
    if (after !== null && !isId(after)) {
      throw new BadRequest(
        '`after` is not a cursor of this list. Take it from endCursor of the page before.',
      );
    }
    if ([filter.search ?? '', ...(filter.models ?? [])].some((text) => text.includes('\0'))) {
      throw new BadRequest('The filter holds a NUL character, which no text here has. Leave it out.');
    }
    const read = () => pageOfTasks(this.db, caller, filter, after, first + 1);
    const { rows, place } = await this.readWithPlace(read, (task) => BigInt(task.logPosition));
    const page = toPage(rows, first, after !== null, (task) => task.id);
    return { ...page, logCursor: this.cursors.encode(place) };
  }

  /** A page of what was edited from an image that the caller was shown, oldest first. */
  async pageOfEdits(
    caller: Caller,
    imageId: string,
    first: number,
    after: string | null,
  ): Promise<Page<Image>> {
    checkPageSize(first);
    if (after !== null && !isId(after)) throw new BadRequest('`after` is not a cursor of this list.');
    const rows = await this.imageRows.pageOfEdits(caller, imageId, after, first + 1);
    return toPage(rows, first, after !== null, (image) => image.id);
  }

  /** A page of a task's history, oldest first. */
  async pageOfEvents(
    { workspaceId, id }: Pick<Task, 'workspaceId' | 'id'>,
    first: number,
    after: string | null,
  ): Promise<Page<TaskEvent>> {
    checkPageSize(first);
    const position = after === null ? 0n : this.cursors.decode(after);
    const rows = await this.eventRows.readTaskAfter(workspaceId, id, position, first + 1);
    return toPage(rows, first, after !== null, (event) => this.cursors.encode(event.position));
  }

  /**
   * A page of the workspace's events, oldest first, however old. The cursors are those of the stream: whoever has read to
   * the end subscribes after the page's `logCursor` and misses nothing, also when the page is empty.
   */
  async pageOfWorkspaceEvents(
    caller: Caller,
    filter: EventFilter,
    first: number,
    after: string | null,
  ): Promise<Page<TaskEvent>> {
    checkPageSize(first);
    const position = after === null ? 0n : this.cursors.decode(after);
    const taskIds = filter.taskIds?.filter(isId);
    const isOfNoTask = taskIds?.length === 0 && filter.taskIds?.length !== 0;
    const wanted = { ...filter, taskIds };
    const read = async () =>
      isOfNoTask ? [] : this.eventRows.readReachAfter(caller, position, first + 1, wanted);
    const { rows, place } = await this.readWithPlace(read, () => position);
    const page = toPage(rows, first, after !== null, (event) => this.cursors.encode(event.position));
    return { ...page, logCursor: page.cursors.at(-1) ?? this.cursors.encode(place) };
  }

  /**
   * Rows, and a place in the log that was there when they were read: what they do not show lies behind it. Rows can tell it
   * themselves; without any, the head is read first and the rows once more.
   */
  private async readWithPlace<Row>(
    read: () => Promise<Row[]>,
    placeOf: (row: Row) => bigint,
  ): Promise<{ rows: Row[]; place: bigint }> {
    const rows = await read();
    if (rows[0]) return { rows, place: placeOf(rows[0]) };
    const head = await this.eventRows.head();
    const again = await read();
    return { rows: again, place: again[0] ? placeOf(again[0]) : head };
  }

  /** A position of the event log, as a cursor. */
  cursorAt(position: bigint): string {
    return this.cursors.encode(position);
  }
}

function inOrder<Item>(ids: readonly string[], found: Item[], idOf: (item: Item) => string): (Item | null)[] {
  const byId = new Map(found.map((item) => [idOf(item), item]));
  return ids.map((id) => byId.get(id.toLowerCase()) ?? null);
}
