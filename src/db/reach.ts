import { type Reach } from '../core/reach.js';

/**
 * SQL for whether the task in `alias` is within the reach that the parameters from `$first` on give, three of them: the
 * values of `reachValues`.
 */
export function taskWithin(alias: string, first: number): string {
  const [workspace, endUser, tasks] = [first, first + 1, first + 2];
  return `${alias}.workspace_id = $${workspace}
    AND ($${endUser}::text IS NULL OR ${alias}.end_user_id = $${endUser})
    AND ($${tasks}::uuid[] IS NULL OR ${alias}.id = ANY($${tasks}))`;
}

export function reachValues({ workspaceId, endUserId, taskIds }: Reach): unknown[] {
  return [workspaceId, endUserId, taskIds];
}

/** For Prisma: the images within reach. A picture that a task made is whose task it is; an uploaded one is its uploader's. */
export function imagesWithin({ workspaceId, endUserId, taskIds }: Reach) {
  return {
    workspaceId,
    AND: [
      endUserId === null ? {} : { OR: [{ task: { endUserId } }, { taskId: null, endUserId }] },
      taskIds === null ? {} : { taskId: { in: [...taskIds] } },
    ],
  };
}

export function isWhole({ endUserId, taskIds }: Reach): boolean {
  return endUserId === null && taskIds === null;
}
