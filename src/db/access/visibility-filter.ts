import { type Reach } from '../../core/access/visibility.js';

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

/**
 * The same for the image in `alias`. A picture that a task made is whose task it is; an uploaded one is its uploader's.
 */
export function imageWithin(alias: string, first: number): string {
  const [workspace, endUser, tasks] = [first, first + 1, first + 2];
  return `${alias}.workspace_id = $${workspace}
    AND ($${endUser}::text IS NULL OR CASE WHEN ${alias}.task_id IS NULL THEN ${alias}.end_user_id = $${endUser}
      ELSE EXISTS (SELECT FROM tasks task WHERE task.id = ${alias}.task_id AND task.end_user_id = $${endUser}) END)
    AND ($${tasks}::uuid[] IS NULL OR ${alias}.task_id = ANY($${tasks}))`;
}

export function isWhole({ endUserId, taskIds }: Reach): boolean {
  return endUserId === null && taskIds === null;
}
