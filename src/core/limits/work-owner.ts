/** Whose work something is, where workspaces and their end users share what there is. A caller is one. */
export interface WorkOwner {
  workspaceId: string;
  /** Null: no particular end user. */
  endUserId: string | null;
  /** With a token, the caller is a browser. Null or none: the workspace's own key. */
  clientToken?: { id: string } | null;
}

/** Names one of those that share in a workspace: an end user, a token for no particular one, or the workspace's own key (empty). */
export function partOf({ endUserId, clientToken }: WorkOwner): string {
  if (endUserId !== null) return `user ${endUserId}`;
  return clientToken ? `token ${clientToken.id}` : '';
}
