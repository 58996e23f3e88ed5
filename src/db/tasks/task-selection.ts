import { type Visibility } from '../../core/access/visibility.js';
import { type Image } from '../../core/images/image.js';
import { type Task } from '../../core/tasks/task.js';
import { IS_TASK_VISIBLE_SQL } from '../access/visibility-filter.js';
import { IMAGE_PROPERTIES, imageFromJson, imageJsonSql } from '../images/image-row.js';
import { type Database } from '../postgres/database.js';
import { type Statement, statement } from '../postgres/statement.js';
import { TASK_PROPERTIES, taskColumns } from './task-row.js';

/** How much is read of a row: nothing, the properties of a list (`LISTED`), or all. */
type Extent = 'none' | 'listed' | 'whole';

/**
 * What a read needs of tasks and of their images. A row has more than thirty columns, and reading all of them takes longer than
 * finding the row. There are few selections, because each is a statement that every connection prepares.
 */
export interface TaskSelection {
  task: Exclude<Extent, 'none'>;
  images: Extent;
}

/** What lists and galleries show. */
const LISTED = {
  task: [
    'id',
    'workspaceId',
    'kind',
    'status',
    'prompt',
    'model',
    'size',
    'requestedCount',
    'deliveredCount',
    'failure',
    'sourceImageId',
    'retryOfId',
    'endUserId',
    'createdAt',
    'finishedAt',
    'eventLogPosition',
  ],
  image: [
    'id',
    'taskId',
    'index',
    'late',
    'parentId',
    'width',
    'height',
    'mimeType',
    'byteSize',
    'thumbhash',
    'storedAt',
    'deletedAt',
  ],
} satisfies { task: (keyof Task)[]; image: (keyof Image)[] };

export type SelectedImage = Pick<Image, (typeof LISTED.image)[number]> & Partial<Image>;
/** A task with the selected properties, and with all of its images, late ones included, if they were selected. */
export type SelectedTask = Pick<Task, (typeof LISTED.task)[number]> &
  Partial<Task> & { images?: SelectedImage[] };

/** The selection for reads of these properties. `ofImages`: null if the images are not read. */
export function selectionOf(
  properties: readonly string[],
  ofImages: readonly string[] | null,
): TaskSelection {
  const isListed = (names: readonly string[], listed: readonly string[]) =>
    names.every((name) => listed.includes(name));
  const images = ofImages && (isListed(ofImages, LISTED.image) ? 'listed' : 'whole');
  return { task: isListed(properties, LISTED.task) ? 'listed' : 'whole', images: images ?? 'none' };
}

/** All properties, without the images. */
export const WHOLE_TASK: TaskSelection = { task: 'whole', images: 'none' };

/** What several reads need together. */
export function unionOf(selections: readonly TaskSelection[]): TaskSelection {
  const images = new Set(selections.map((selection) => selection.images));
  return {
    task: selections.every(({ task }) => task === 'listed') ? 'listed' : 'whole',
    images: images.has('whole') ? 'whole' : images.has('listed') ? 'listed' : 'none',
  };
}

type Row = Omit<SelectedTask, 'images'> & { images?: unknown[][] | null };
type FindTasks = Statement<Visibility & { ids: readonly string[] }, Row>;

const OPTIONS = { useGenericPlan: true, needsSlot: false };
const FIND_LISTED_TASKS: Record<Extent, FindTasks> = {
  none: statement('find-listed-tasks', findTasksSql(LISTED.task), OPTIONS),
  listed: statement('find-listed-tasks-and-images', findTasksSql(LISTED.task, LISTED.image), OPTIONS),
  whole: statement(
    'find-listed-tasks-and-whole-images',
    findTasksSql(LISTED.task, IMAGE_PROPERTIES),
    OPTIONS,
  ),
};
const FIND_WHOLE_TASKS: Record<Extent, FindTasks> = {
  none: statement('find-tasks', findTasksSql(TASK_PROPERTIES), OPTIONS),
  listed: statement('find-tasks-and-images', findTasksSql(TASK_PROPERTIES, LISTED.image), OPTIONS),
  whole: statement('find-tasks-and-whole-images', findTasksSql(TASK_PROPERTIES, IMAGE_PROPERTIES), OPTIONS),
};

/** The visible tasks among these IDs, in no order. */
export async function findSelectedTasks(
  db: Database,
  { workspaceId, endUserId, taskIds }: Visibility,
  { ids, selection }: { ids: readonly string[]; selection: TaskSelection },
): Promise<SelectedTask[]> {
  const find = (selection.task === 'listed' ? FIND_LISTED_TASKS : FIND_WHOLE_TASKS)[selection.images];
  const rows = await db.queryAsCaller({ workspaceId }, find, { workspaceId, endUserId, taskIds, ids });
  const imageProperties = selection.images === 'whole' ? IMAGE_PROPERTIES : LISTED.image;
  const toImage = (values: unknown[]) => imageFromJson(values, imageProperties) as SelectedImage;
  return rows.map(({ images, ...task }) =>
    images === undefined ? task : { ...task, images: (images ?? []).map(toImage) },
  );
}

/**
 * Looks tasks up one by one; OFFSET 0 keeps the planner from flattening the subquery. With `id = ANY` the planner reads the
 * whole workspace if most other workspaces are small: 5 ms with 16,000 tasks.
 */
function findTasksSql(
  properties: readonly (keyof Task)[],
  imageProperties: readonly (keyof Image)[] = [],
): string {
  const imagesSql = `, (SELECT json_agg(${imageJsonSql(imageProperties)} ORDER BY image.index) FROM images image
        WHERE image.workspace_id = task.workspace_id AND image.task_id = task.id) AS images`;
  return `
  SELECT ${taskColumns(properties)}${imageProperties.length > 0 ? imagesSql : ''}
  FROM (SELECT DISTINCT unnest(:ids::uuid[]) AS id) given CROSS JOIN LATERAL (
    SELECT * FROM tasks task WHERE task.id = given.id AND ${IS_TASK_VISIBLE_SQL} OFFSET 0) task`;
}
