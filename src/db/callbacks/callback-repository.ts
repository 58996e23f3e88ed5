import { firstIdAt } from '../../core/primitives/ids.js';
import { type Callback, type CallbackVerdict } from '../../core/callbacks/callback.js';
import { type Reach } from '../../core/access/visibility.js';
import { type Database } from '../postgres/database.js';
import { named } from '../postgres/named-statement.js';
import { isWhole, reachValues, taskWithin } from '../access/visibility-filter.js';
import { type RawCallback } from '../tasks/task-repository.js';

/** One that brought nothing new; those that did are kept by the statement that moves the task. */
const KEEP = {
  name: 'keep-callback',
  text: `
  INSERT INTO callbacks (id, workspace_id, task_id, verdict, body)
  SELECT $1, (SELECT workspace_id FROM tasks WHERE id = $2), $2, $3, $4
  ON CONFLICT (id) DO UPDATE SET verdict = excluded.verdict
  WHERE callbacks.verdict NOT IN ('APPLIED', 'EARLY', 'LATE')`,
};
const FORGET = {
  name: 'forget-callbacks',
  text: `
  DELETE FROM callbacks WHERE id IN (
    SELECT id FROM callbacks WHERE id < $1 ORDER BY id LIMIT $2)
  RETURNING id`,
};

const FIND = `
  SELECT callback.id, callback.received_at AS "receivedAt", callback.workspace_id AS "workspaceId",
         callback.task_id AS "taskId", callback.verdict, callback.body
  FROM callbacks callback`;

/** Those of the tasks within reach. Only a reach that is not a whole workspace has its tasks looked up. */
function within(reach: Reach, values: unknown[]): string {
  if (isWhole(reach)) return `callback.workspace_id = $${values.push(reach.workspaceId)}`;
  const first = values.length + 1;
  values.push(...reachValues(reach));
  return `EXISTS (SELECT FROM tasks task WHERE task.id = callback.task_id AND ${taskWithin('task', first)})`;
}

/** Which callbacks a page shows. Absent or empty: all of them. */
export interface CallbackFilter {
  verdicts?: readonly CallbackVerdict[] | null;
  taskId?: string | null;
}

/** The rows of `callbacks`: the inbox. */
export class Callbacks {
  constructor(private readonly db: Database) {}

  /** Keeps a callback, or corrects the verdict of one that was kept before. One that brought its result in stays so. */
  async keep(callback: RawCallback, taskId: string, verdict: CallbackVerdict): Promise<void> {
    await this.db.run(KEEP, [callback.id, taskId, verdict, callback.body]);
  }

  async find(reach: Reach, id: string): Promise<Callback | null> {
    const values: unknown[] = [];
    const text = `${FIND} WHERE ${within(reach, values)} AND callback.id = $${values.push(id)}`;
    const [row] = await this.db.within<Callback>(reach.workspaceId, named('find-callback', text), values);
    return row ?? null;
  }

  /** A page of the callbacks within reach, newest first, below `before`. */
  async page(
    reach: Reach,
    filter: CallbackFilter,
    before: string | null,
    limit: number,
  ): Promise<Callback[]> {
    const values: unknown[] = [];
    const bind = (value: unknown, type: string) => `$${values.push(value)}::${type}`;
    const conditions = [within(reach, values)];
    if (before) conditions.push(`callback.id < ${bind(before, 'uuid')}`);
    if (filter.taskId) conditions.push(`callback.task_id = ${bind(filter.taskId, 'uuid')}`);
    if (filter.verdicts?.length) {
      conditions.push(`callback.verdict = ANY(${bind(filter.verdicts, 'callback_verdict[]')})`);
    }
    const text = `${FIND} WHERE ${conditions.join(' AND ')} ORDER BY callback.id DESC LIMIT ${bind(limit, 'int')}`;
    return this.db.within<Callback>(reach.workspaceId, named('page-of-callbacks', text), values);
  }

  /** Deletes up to `limit` that came before `time`; how many it deleted. */
  async forgetBefore(time: Date, limit: number): Promise<number> {
    return (await this.db.run(FORGET, [firstIdAt(time), limit])).length;
  }
}
