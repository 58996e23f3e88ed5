import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { type ApiKey, KEY_COLUMNS, keyValues, NEW_KEY, type NewApiKey } from './api-key-repository.js';
import { audited, auditValue } from './audit-repository.js';
import { type Database } from '../postgres/database.js';

/** Which secret a workspace's callbacks are signed with. */
export interface SecretVersion {
  version: number;
  /** Until when the version before counts, too. */
  overlapUntil: Date | null;
}

const ROTATE_SECRET = {
  name: 'rotate-webhook-secret',
  text: `
  WITH workspace AS (
    UPDATE workspaces SET webhook_secret_version = webhook_secret_version + 1,
                          webhook_overlap_until = now() + make_interval(secs => $2)
    WHERE id = $1
    RETURNING webhook_secret_version AS version, webhook_overlap_until AS "overlapUntil"
  ),${audited('$3', 'workspace')}
  SELECT * FROM workspace`,
};
const INSERT = {
  name: 'insert-workspace',
  text: `
  WITH workspace AS (
    INSERT INTO workspaces (id, name) VALUES ($1, $2) RETURNING *
  ), key AS (${NEW_KEY} VALUES ($3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11) RETURNING *),${audited('$12', 'key')}
  SELECT ${KEY_COLUMNS}, workspace.name AS "madeName", workspace.created_at AS "madeAt" FROM workspace, key`,
};

/** Who owns tasks. */
export interface Workspace {
  id: string;
  name: string;
  createdAt: Date;
}

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
  async rotateWebhookSecret(
    workspaceId: string,
    overlapSeconds: number,
    audit: NewAuditEntry,
  ): Promise<SecretVersion> {
    const values = [workspaceId, overlapSeconds, auditValue(audit)];
    const [row] = await this.db.run<SecretVersion>(ROTATE_SECRET, values);
    if (!row) throw new Error('The workspace is not there.');
    return row;
  }

  /** A workspace with its first key, in one commit. */
  async insert(
    { id, name }: Pick<Workspace, 'id' | 'name'>,
    key: NewApiKey,
    audit: NewAuditEntry[],
  ): Promise<{ workspace: Workspace; apiKey: ApiKey }> {
    const values = [id, name, ...keyValues(key), auditValue(...audit)];
    const [row] = await this.db.run<ApiKey & { madeName: string; madeAt: Date }>(INSERT, values);
    if (!row) throw new Error('The workspace was not written.');
    const { madeName, madeAt, ...apiKey } = row;
    return { workspace: { id, name: madeName, createdAt: madeAt }, apiKey };
  }

  /** Those with this name. Names are for people: several workspaces may have the same. */
  async findByName(name: string): Promise<Workspace[]> {
    return this.db.read((prisma) => prisma.workspace.findMany({ where: { name }, take: 2 }));
  }

  async find(id: string): Promise<Workspace | null> {
    return this.db.read((prisma) => prisma.workspace.findUnique({ where: { id } }));
  }
}
