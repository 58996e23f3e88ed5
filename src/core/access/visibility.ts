/** The rows of a workspace that a caller may see and change. Every read and write of a caller is limited to them. */
export interface Visibility {
  workspaceId: string;
  /** Limits visibility to this end user's rows. Null: the rows of all end users. */
  endUserId: string | null;
  /** Limits visibility to these tasks and their images. Null: all tasks. */
  taskIds: readonly string[] | null;
}

/** The visibility of a whole workspace, for the service's own work. */
export function workspaceVisibility(workspaceId: string): Visibility {
  return { workspaceId, endUserId: null, taskIds: null };
}

/** The visibility of a caller, without its other properties. */
export function visibilityOf({ workspaceId, endUserId, taskIds }: Visibility): Visibility {
  return { workspaceId, endUserId, taskIds };
}

export function isVisible(
  { workspaceId, endUserId, taskIds }: Visibility,
  task: { workspaceId: string; endUserId: string | null; taskId: string },
): boolean {
  if (task.workspaceId !== workspaceId) return false;
  if (endUserId !== null && task.endUserId !== endUserId) return false;
  return taskIds === null || taskIds.includes(task.taskId);
}
