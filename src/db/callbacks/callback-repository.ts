import { idTime, minIdAt } from '../../core/primitives/ids.js';
import { type Callback, type CallbackVerdict } from '../../core/callbacks/callback.js';
import { type Visibility } from '../../core/access/visibility.js';
import { IS_TASK_VISIBLE_SQL } from '../access/visibility-filter.js';
import { type Prisma } from '../generated/client.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';
import { type RawCallback } from '../tasks/task-transition.js';

/** For callbacks without a new result. The statement that changes the task saves the others. */
const SAVE = statement<RawCallback & { receivedAt: Date; taskId: string; verdict: CallbackVerdict }>(
  'save-callback',
  `
  INSERT INTO callbacks (id, received_at, workspace_id, task_id, attempt, verdict, body)
  SELECT :id, :receivedAt, (SELECT workspace_id FROM tasks WHERE id = :taskId), :taskId, :attempt::smallint, :verdict, :body
  ON CONFLICT (id) DO UPDATE SET verdict = excluded.verdict
  WHERE callbacks.verdict NOT IN ('APPLIED', 'EARLY', 'LATE')`,
);

/** For tokens of an end user. Prisma filters by a relation only, and a callback has none, because its task may not exist. */
const PAGE_OF_END_USER = statement<
  Visibility & {
    verdicts: readonly string[] | null;
    taskId: string | null;
    before: string | null;
    limit: number;
  },
  Callback
>(
  'page-of-callbacks-of-end-user',
  `
  SELECT callback.id, callback.received_at AS "receivedAt", callback.workspace_id AS "workspaceId",
         callback.task_id AS "taskId", callback.attempt, callback.verdict, callback.body
  FROM callbacks callback
  WHERE EXISTS (SELECT FROM tasks task WHERE task.id = callback.task_id AND ${IS_TASK_VISIBLE_SQL})
    AND callback.workspace_id = :workspaceId AND (:before::uuid IS NULL OR callback.id < :before)
    AND (:taskId::uuid IS NULL OR callback.task_id = :taskId)
    AND (:verdicts::callback_verdict[] IS NULL OR callback.verdict = ANY(:verdicts))
  ORDER BY callback.id DESC LIMIT :limit`,
);

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
    await this.db.query(SAVE, { ...callback, receivedAt: idTime(callback.id), taskId, verdict });
  }

  async find({ workspaceId, endUserId, taskIds }: Visibility, id: string): Promise<Callback | null> {
    const where = { id, workspaceId, ...(taskIds && { taskId: { in: [...taskIds] } }) };
    const read = async (prisma: Prisma.TransactionClient) => {
      const callback = await prisma.callback.findUnique({ where });
      if (endUserId === null) return callback;
      // Asks in any case, so that the time of the answer does not tell whether the callback exists.
      const task = { id: callback?.taskId ?? id, workspaceId, endUserId };
      return (await prisma.task.findFirst({ where: task, select: { id: true } })) && callback;
    };
    return this.db.withPrismaAsCaller({ workspaceId }, read, { needsSlot: false });
  }

  /** A page of the visible callbacks, newest first, below `before`. Throws RateLimited when too many slow pages are read. */
  async page(
    visibility: Visibility,
    { verdicts, taskId }: CallbackFilter,
    { before, limit }: { before: string | null; limit: number },
  ): Promise<Callback[]> {
    const { workspaceId, endUserId, taskIds } = visibility;
    if (endUserId !== null) {
      const filter = { verdicts: verdicts?.length ? verdicts : null, taskId: taskId || null };
      return this.db.queryAsCaller(visibility, PAGE_OF_END_USER, {
        ...visibility,
        ...filter,
        before,
        limit,
      });
    }
    const where = {
      workspaceId,
      taskId: { ...(taskIds && { in: [...taskIds] }), ...(taskId && { equals: taskId }) },
      ...(verdicts?.length && { verdict: { in: [...verdicts] } }),
      ...(before !== null && { id: { lt: before } }),
    };
    // No index has the verdict, so a rare one is searched for in the whole inbox.
    const needsSlot = Boolean(verdicts?.length || taskId || taskIds);
    return this.db.withPrismaAsCaller(
      { workspaceId },
      (prisma) => prisma.callback.findMany({ where, orderBy: { id: 'desc' }, take: limit }),
      { needsSlot },
    );
  }

  /** Deletes up to `limit` callbacks that were received before `time`. Returns the number of deleted callbacks. */
  async deleteBefore(time: Date, limit: number): Promise<number> {
    const where = { id: { lt: minIdAt(time) } };
    return (await this.db.prisma.callback.deleteMany({ where, limit })).count;
  }
}
