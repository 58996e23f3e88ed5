import { type Visibility } from '../../core/access/visibility.js';

/** SQL that tells whether the task named `task` is visible. The statement needs the parameters of a `Visibility`. */
export const IS_TASK_VISIBLE_SQL = `task.workspace_id = :workspaceId
    AND (:endUserId::text IS NULL OR task.end_user_id = :endUserId)
    AND (:taskIds::uuid[] IS NULL OR task.id = ANY(:taskIds))`;

/**
 * SQL that tells whether the image named `image` is visible, with the same parameters. An image of a task belongs to the end
 * user of the task, and an uploaded image to the end user of the upload.
 */
export const IS_IMAGE_VISIBLE_SQL = `image.workspace_id = :workspaceId
    AND (:endUserId::text IS NULL OR CASE WHEN image.task_id IS NULL THEN image.end_user_id = :endUserId
      ELSE EXISTS (SELECT FROM tasks task WHERE task.id = image.task_id AND task.end_user_id = :endUserId) END)
    AND (:taskIds::uuid[] IS NULL OR image.task_id = ANY(:taskIds))`;

export function coversWorkspace({ endUserId, taskIds }: Visibility): boolean {
  return endUserId === null && taskIds === null;
}
