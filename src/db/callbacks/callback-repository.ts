import { minIdAt } from '../../core/primitives/ids.js';
import { type Callback, type CallbackVerdict } from '../../core/callbacks/callback.js';
import { type Visibility } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { namedStatement } from '../postgres/named-statement.js';
import { coversWorkspace, visibilityValues, isTaskVisibleSql } from '../access/visibility-filter.js';
import { type RawCallback } from '../tasks/task-transition.js';

/** For callbacks without a new result. The statement that changes the task saves the others. */
const SAVE = {
  name: 'save-callback',
  text: `
  INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
  SELECT $1, (SELECT workspace_id FROM tasks WHERE id = $2), $2, $3, $4
  ON CONFLICT (id) DO UPDATE SET verdict = excluded.verdict
  WHERE callbacks.verdict NOT IN ('APPLIED', 'EARLY', 'LATE')`,
};
const DELETE_OLD = {
  name: 'delete-old-callbacks',
  text: `
  DELETE FROM callbacks WHERE id IN (
    SELECT id FROM callbacks WHERE id < $1 ORDER BY id LIMIT $2)
  RETURNING id`,
};

const FIND = `
  SELECT callback.id, callback.received_at AS "receivedAt", callback.workspace_id AS "workspaceId",
         callback.task_id AS "taskId", callback.verdict, callback.body
  FROM callbacks callback`;

/** SQL that tells whether a callback is visible. It looks up the task only if the visibility is narrower than a workspace. */
function isVisibleSql(visibility: Visibility, values: unknown[]): string {
  if (coversWorkspace(visibility)) return `callback.workspace_id = $${values.push(visibility.workspaceId)}`;
  const first = values.length + 1;
  values.push(...visibilityValues(visibility));
  return `EXISTS (SELECT FROM tasks task WHERE task.id = callback.task_id AND ${isTaskVisibleSql('task', first)})`;
}

/** Selects the callbacks of a page. Absent or empty fields select all callbacks. */
export interface CallbackFilter {
  verdicts?: readonly CallbackVerdict[] | null;
  taskId?: string | null;
}

/** The rows of `callbacks`: the callback inbox. */
export class CallbackRepository {
  constructor(private readonly db: Database) {}

  /** Saves a callback, or updates the verdict of a saved one unless its result was applied. */
  async save(callback: RawCallback, taskId: string, verdict: CallbackVerdict): Promise<void> {
    await this.db.run(SAVE, [callback.id, taskId, verdict, callback.body]);
  }

  async find(visibility: Visibility, id: string): Promise<Callback | null> {
    const values: unknown[] = [];
    const text = `${FIND} WHERE ${isVisibleSql(visibility, values)} AND callback.id = $${values.push(id)}`;
    const [row] = await this.db.runAsCaller<Callback>(
      visibility.workspaceId,
      namedStatement('find-callback', text),
      values,
    );
    return row ?? null;
  }

  /** A page of the visible callbacks, newest first, below `before`. */
  async page(
    visibility: Visibility,
    filter: CallbackFilter,
    before: string | null,
    limit: number,
  ): Promise<Callback[]> {
    const values: unknown[] = [];
    const bind = (value: unknown, type: string) => `$${values.push(value)}::${type}`;
    const conditions = [isVisibleSql(visibility, values)];
    if (before) conditions.push(`callback.id < ${bind(before, 'uuid')}`);
    if (filter.taskId) conditions.push(`callback.task_id = ${bind(filter.taskId, 'uuid')}`);
    if (filter.verdicts?.length) {
      conditions.push(`callback.verdict = ANY(${bind(filter.verdicts, 'callback_verdict[]')})`);
    }
    const text = `${FIND} WHERE ${conditions.join(' AND ')} ORDER BY callback.id DESC LIMIT ${bind(limit, 'int')}`;
    return this.db.runAsCaller<Callback>(
      visibility.workspaceId,
      namedStatement('page-of-callbacks', text),
      values,
    );
  }

  /** Deletes up to `limit` callbacks that were received before `time`. Returns the number of deleted callbacks. */
  async deleteBefore(time: Date, limit: number): Promise<number> {
    return (await this.db.run(DELETE_OLD, [minIdAt(time), limit])).length;
  }
}
