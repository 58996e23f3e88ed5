import { firstIdAt } from '../core/ids.js';
import { type Callback, type CallbackVerdict } from '../core/callback.js';
import { type Database } from './database.js';
import { type RawCallback } from './tasks.js';

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

  async find(workspaceId: string, id: string): Promise<Callback | null> {
    return this.db.read((prisma) => prisma.callback.findFirst({ where: { workspaceId, id } }));
  }

  /** A page of the workspace's callbacks, newest first, below `before`. */
  async page(
    workspaceId: string,
    filter: CallbackFilter,
    before: string | null,
    limit: number,
  ): Promise<Callback[]> {
    return this.db.read((prisma) =>
      prisma.callback.findMany({
        where: {
          workspaceId,
          ...(before && { id: { lt: before } }),
          ...(filter.taskId && { taskId: filter.taskId }),
          ...(filter.verdicts?.length && { verdict: { in: [...filter.verdicts] } }),
        },
        orderBy: { id: 'desc' },
        take: limit,
      }),
    );
  }

  /** Deletes up to `limit` that came before `time`; how many it deleted. */
  async forgetBefore(time: Date, limit: number): Promise<number> {
    return (await this.db.run(FORGET, [firstIdAt(time), limit])).length;
  }
}
