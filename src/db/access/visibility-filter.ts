import { type Visibility } from '../../core/access/visibility.js';

/** SQL that tells whether the task named `alias` is visible. The statement needs the parameters of a `Visibility`. */
export function isTaskVisibleSql(alias: string): string {
  return `${alias}.workspace_id = :workspaceId
    AND (:endUserId::text IS NULL OR ${alias}.end_user_id = :endUserId)
    AND (:taskIds::uuid[] IS NULL OR ${alias}.id = ANY(:taskIds))`;
}

/**
 * SQL that tells whether the image named `alias` is visible, with the same parameters. An image of a task belongs to the end
 * user of the task, and an uploaded image to the end user of the upload.
 */
export function isImageVisibleSql(alias: string): string {
  return `${alias}.workspace_id = :workspaceId
    AND (:endUserId::text IS NULL OR CASE WHEN ${alias}.task_id IS NULL THEN ${alias}.end_user_id = :endUserId
      ELSE EXISTS (SELECT FROM tasks task WHERE task.id = ${alias}.task_id AND task.end_user_id = :endUserId) END)
    AND (:taskIds::uuid[] IS NULL OR ${alias}.task_id = ANY(:taskIds))`;
}

export function coversWorkspace({ endUserId, taskIds }: Visibility): boolean {
  return endUserId === null && taskIds === null;
}
