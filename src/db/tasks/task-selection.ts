import { type Visibility } from '../../core/access/visibility.js';
import { type Image } from '../../core/images/image.js';
import { type Task } from '../../core/tasks/task.js';
import { IS_TASK_VISIBLE_SQL } from '../access/visibility-filter.js';
import { IMAGE_PROPERTIES, imageFromJson, imageJsonSql } from '../images/image-row.js';
import { type Database } from '../postgres/database.js';
import { assembledStatement, type Statement } from '../postgres/statement.js';
import { TASK_PROPERTIES, taskColumns } from './task-row.js';

/** What a read needs of tasks. A row has more than thirty columns, and reading all of them takes longer than finding the row. */
export interface TaskSelection {
  /** In any order. Some are always read. */
  properties: readonly (keyof Task)[];
  /** The same of the images of each task. Null: the images are not read. */
  imageProperties: readonly (keyof Image)[] | null;
}

export type SelectedImage = Pick<Image, 'id' | 'late'> & Partial<Image>;
/** A task with the selected properties, and with all of its images, late ones included, if they were selected. */
export type SelectedTask = Pick<Task, 'id' | 'workspaceId' | 'eventLogPosition'> &
  Partial<Task> & { images?: SelectedImage[] };

/** All properties, without the images. */
export const WHOLE_TASK: TaskSelection = { properties: TASK_PROPERTIES, imageProperties: null };

/** What several reads need together. */
export function unionOf(selections: readonly TaskSelection[]): TaskSelection {
  const ofImages = selections.map(({ imageProperties }) => imageProperties).filter((list) => list !== null);
  return {
    properties: selections.flatMap(({ properties }) => properties),
    imageProperties: ofImages.length > 0 ? ofImages.flat() : null,
  };
}

const ALWAYS_READ: readonly (keyof Task)[] = ['id', 'workspaceId', 'eventLogPosition'];
const ALWAYS_READ_OF_IMAGES: readonly (keyof Image)[] = ['id', 'late'];
/**
 * Statements for different selections. Each connection prepares each of them once, which takes memory in PostgreSQL, and callers
 * can select whatever they like. Selections beyond this number read everything.
 */
const MAX_STATEMENTS = 50;

type Row = Omit<SelectedTask, 'images'> & { images?: unknown[][] | null };
interface SelectingStatement {
  statement: Statement<Visibility & { ids: readonly string[] }, Row>;
  imageProperties: readonly (keyof Image)[];
}

/** By the properties that they read. */
const statements = new Map<string, SelectingStatement>();
const statementsBySelection = new WeakMap<TaskSelection, SelectingStatement>();

/** The visible tasks among these IDs, in no order. A selection that is used again should be the same object. */
export async function findSelectedTasks(
  db: Database,
  { workspaceId, endUserId, taskIds }: Visibility,
  { ids, selection }: { ids: readonly string[]; selection: TaskSelection },
): Promise<SelectedTask[]> {
  const { statement: find, imageProperties } = statementFor(selection);
  const rows = await db.queryAsCaller({ workspaceId }, find, { workspaceId, endUserId, taskIds, ids });
  return toTasks(rows, imageProperties);
}

function toTasks(rows: readonly Row[], imageProperties: readonly (keyof Image)[]): SelectedTask[] {
  const toImage = (values: unknown[]) => imageFromJson(values, imageProperties) as SelectedImage;
  return rows.map(({ images, ...task }) =>
    images === undefined ? task : { ...task, images: (images ?? []).map(toImage) },
  );
}

/**
 * SQL that finds the visible tasks among `ids`. It looks them up one by one; OFFSET 0 keeps the planner from flattening the
 * subquery. With `id = ANY` the planner reads the whole workspace if most other workspaces are small: 5 ms with 16,000 tasks.
 */
export function findTasksSql(columns: string): string {
  return `
  SELECT ${columns} FROM (SELECT DISTINCT unnest(:ids::uuid[]) AS id) given CROSS JOIN LATERAL (
    SELECT * FROM tasks task WHERE task.id = given.id AND ${IS_TASK_VISIBLE_SQL} OFFSET 0) task`;
}

function statementFor(selection: TaskSelection): SelectingStatement {
  const known = statementsBySelection.get(selection);
  if (known) return known;
  const found = existingOrNew(selection);
  statementsBySelection.set(selection, found);
  return found;
}

function existingOrNew(selection: TaskSelection): SelectingStatement {
  const selected = new Set([...ALWAYS_READ, ...selection.properties]);
  const selectedOfImages = new Set([...ALWAYS_READ_OF_IMAGES, ...(selection.imageProperties ?? [])]);
  const withImages = selection.imageProperties !== null;
  let properties = TASK_PROPERTIES.filter((property) => selected.has(property));
  let imageProperties = IMAGE_PROPERTIES.filter((property) => withImages && selectedOfImages.has(property));
  const nameOf = () => [...properties, '/', ...imageProperties].join(' ');
  if (!statements.has(nameOf()) && statements.size >= MAX_STATEMENTS) {
    properties = [...TASK_PROPERTIES];
    imageProperties = withImages ? [...IMAGE_PROPERTIES] : [];
  }
  const selecting = statements.get(nameOf()) ?? newStatement(properties, imageProperties);
  statements.set(nameOf(), selecting);
  return selecting;
}

function newStatement(
  properties: readonly (keyof Task)[],
  imageProperties: readonly (keyof Image)[],
): SelectingStatement {
  const imagesSql = `(SELECT json_agg(${imageJsonSql(imageProperties)} ORDER BY image.index) FROM images image
    WHERE image.workspace_id = task.workspace_id AND image.task_id = task.id) AS images`;
  const columns = taskColumns(properties) + (imageProperties.length > 0 ? `, ${imagesSql}` : '');
  const options = { useGenericPlan: true, needsSlot: false };
  return {
    statement: assembledStatement('find-selected-tasks', findTasksSql(columns), options),
    imageProperties,
  };
}
