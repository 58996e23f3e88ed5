import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import {
  type ApiKey,
  KEY_COLUMNS,
  insertKeyValues,
  INSERT_KEY_INTO,
  type NewApiKey,
} from './api-key-repository.js';
import { insertAuditSql, auditParameter } from './audit-repository.js';
import { type Database } from '../postgres/database.js';

/** The version of the secret that signs a workspace's webhooks. */
export interface WebhookSecretVersion {
  version: number;
  /** Until this time, webhooks are also signed with the previous secret. */
  previousExpiresAt: Date | null;
}

const ROTATE_SECRET = {
  name: 'rotate-webhook-secret',
  text: `
  WITH workspace AS (
    UPDATE workspaces SET webhook_secret_version = webhook_secret_version + 1,
                          webhook_previous_secret_expires_at = now() + make_interval(secs => $2)
    WHERE id = $1
    RETURNING webhook_secret_version AS version, webhook_previous_secret_expires_at AS "previousExpiresAt"
  ),${insertAuditSql('$3', 'workspace')}
  SELECT * FROM workspace`,
};
const INSERT = {
  name: 'insert-workspace',
  text: `
  WITH workspace AS (
    INSERT INTO workspaces (id, name) VALUES ($1, $2) RETURNING *
  ), key AS (${INSERT_KEY_INTO} VALUES ($3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11) RETURNING *),${insertAuditSql('$12', 'key')}
  SELECT ${KEY_COLUMNS}, workspace.name AS "workspaceName", workspace.created_at AS "workspaceCreatedAt"
  FROM workspace, key`,
};

/** The tenant: it owns API keys, tasks and images. */
export interface Workspace {
  id: string;
  name: string;
  createdAt: Date;
}

/** The rows of `workspaces`. */
export class WorkspaceRepository {
  constructor(private readonly db: Database) {}

  async findWebhookSecretVersion(workspaceId: string): Promise<WebhookSecretVersion> {
    const workspace = await this.db.withPrisma((prisma) =>
      prisma.workspace.findUniqueOrThrow({ where: { id: workspaceId } }),
    );
    return {
      version: workspace.webhookSecretVersion,
      previousExpiresAt: workspace.webhookPreviousSecretExpiresAt,
    };
  }

  /** Moves on to the next version. The previous one stays valid for `gracePeriodSeconds`. */
  async rotateWebhookSecret(
    workspaceId: string,
    gracePeriodSeconds: number,
    audit: NewAuditEntry,
  ): Promise<WebhookSecretVersion> {
    const values = [workspaceId, gracePeriodSeconds, auditParameter(audit)];
    const [row] = await this.db.run<WebhookSecretVersion>(ROTATE_SECRET, values);
    if (!row) throw new Error(`The workspace ${workspaceId} does not exist.`);
    return row;
  }

  /** Inserts a workspace and its first API key in one commit. */
  async insert(
    { id, name }: Pick<Workspace, 'id' | 'name'>,
    key: NewApiKey,
    audit: NewAuditEntry[],
  ): Promise<{ workspace: Workspace; apiKey: ApiKey }> {
    const values = [id, name, ...insertKeyValues(key), auditParameter(...audit)];
    const [row] = await this.db.run<ApiKey & { workspaceName: string; workspaceCreatedAt: Date }>(
      INSERT,
      values,
    );
    if (!row) throw new Error('Inserting a workspace returned no row.');
    const { workspaceName, workspaceCreatedAt, ...apiKey } = row;
    return { workspace: { id, name: workspaceName, createdAt: workspaceCreatedAt }, apiKey };
  }

  /** Up to 2 workspaces with this name. Names are not unique. */
  async findByName(name: string): Promise<Workspace[]> {
    return this.db.withPrisma((prisma) => prisma.workspace.findMany({ where: { name }, take: 2 }));
  }

  async find(id: string): Promise<Workspace | null> {
    return this.db.withPrisma((prisma) => prisma.workspace.findUnique({ where: { id } }));
  }
}
