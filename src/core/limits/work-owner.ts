/** Whose work something is, where workspaces and their end users share what there is. A caller is one. */
export interface WorkOwner {
  workspaceId: string;
  /** Null: the workspace's own key. */
  endUserId: string | null;
}
