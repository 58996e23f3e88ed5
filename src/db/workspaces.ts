import { type Database } from './database.js';

/** Which secret a workspace's callbacks are signed with. */
export interface SecretVersion {
  version: number;
  /** Until when the version before counts, too. */
  overlapUntil: Date | null;
}

const ROTATE_SECRET = {
  name: 'rotate-webhook-secret',
  text: `
  UPDATE workspaces SET webhook_secret_version = webhook_secret_version + 1,
                        webhook_overlap_until = now() + make_interval(secs => $2)
  WHERE id = $1
  RETURNING webhook_secret_version AS version, webhook_overlap_until AS "overlapUntil"`,
};

/** The rows of `workspaces`. */
export class Workspaces {
  constructor(private readonly db: Database) {}

  async webhookSecret(workspaceId: string): Promise<SecretVersion> {
    const found = await this.db.read((prisma) =>
      prisma.workspace.findUniqueOrThrow({ where: { id: workspaceId } }),
    );
    return { version: found.webhookSecretVersion, overlapUntil: found.webhookOverlapUntil };
  }

  /** The next version; the one before counts for `overlapSeconds` more. */
  async rotateWebhookSecret(workspaceId: string, overlapSeconds: number): Promise<SecretVersion> {
    const [row] = await this.db.run<SecretVersion>(ROTATE_SECRET, [workspaceId, overlapSeconds]);
    if (!row) throw new Error('The workspace is not there.');
    return row;
  }
}
