/** What of a workspace somebody may see and change: every read and write of a caller is bound to one. */
export interface Reach {
  workspaceId: string;
  /** What is this end user's alone; null: everybody's. */
  endUserId: string | null;
  /** These tasks alone, and their images; null: all. */
  taskIds: readonly string[] | null;
}

/** The reach of a key: for what we do ourselves with a workspace's rows. */
export function wholeWorkspace(workspaceId: string): Reach {
  return { workspaceId, endUserId: null, taskIds: null };
}

/** The reach alone of whoever has one. */
export function reachOf({ workspaceId, endUserId, taskIds }: Reach): Reach {
  return { workspaceId, endUserId, taskIds };
}

/** Whether a task is within reach. */
export function reaches(
  { workspaceId, endUserId, taskIds }: Reach,
  task: { workspaceId: string; endUserId: string | null; taskId: string },
): boolean {
  if (task.workspaceId !== workspaceId) return false;
  if (endUserId !== null && task.endUserId !== endUserId) return false;
  return taskIds === null || taskIds.includes(task.taskId);
}
