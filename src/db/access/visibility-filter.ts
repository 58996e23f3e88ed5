import { type Visibility } from '../../core/access/visibility.js';

/** The names or, for statements with positional values, the numbers of the three parameters that hold a visibility. */
function visibilityParameters(firstParameter?: number): [string, string, string] {
  if (firstParameter === undefined) return [':workspaceId', ':endUserId', ':taskIds'];
  return [`$${firstParameter}`, `$${firstParameter + 1}`, `$${firstParameter + 2}`];
}

/** SQL that tells whether the task named `alias` is visible. The statement needs the parameters of a `Visibility`. */
export function isTaskVisibleSql(alias: string, firstParameter?: number): string {
  const [workspace, endUser, tasks] = visibilityParameters(firstParameter);
  return `${alias}.workspace_id = ${workspace}
    AND (${endUser}::text IS NULL OR ${alias}.end_user_id = ${endUser})
    AND (${tasks}::uuid[] IS NULL OR ${alias}.id = ANY(${tasks}))`;
}

export function visibilityValues({ workspaceId, endUserId, taskIds }: Visibility): unknown[] {
  return [workspaceId, endUserId, taskIds];
}

/**
 * SQL that tells whether the image named `alias` is visible, with the same parameters. An image of a task belongs to the end
 * user of the task, and an uploaded image to the end user of the upload.
 */
export function isImageVisibleSql(alias: string, firstParameter?: number): string {
  const [workspace, endUser, tasks] = visibilityParameters(firstParameter);
  return `${alias}.workspace_id = ${workspace}
    AND (${endUser}::text IS NULL OR CASE WHEN ${alias}.task_id IS NULL THEN ${alias}.end_user_id = ${endUser}
      ELSE EXISTS (SELECT FROM tasks task WHERE task.id = ${alias}.task_id AND task.end_user_id = ${endUser}) END)
    AND (${tasks}::uuid[] IS NULL OR ${alias}.task_id = ANY(${tasks}))`;
}

export function coversWorkspace({ endUserId, taskIds }: Visibility): boolean {
  return endUserId === null && taskIds === null;
}
