import { databaseTimeMs } from '../../core/primitives/clock.js';
import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { type ApiKey, type NewApiKey, newKeyRow, toApiKey } from './api-key-repository.js';
import { auditRow } from './audit-repository.js';
import { type Prisma } from '../generated/client.js';
import { type Database } from '../postgres/database.js';

/** The tenant: it owns API keys, tasks and images. */
export type Workspace = Prisma.WorkspaceGetPayload<{ select: typeof PUBLIC_FIELDS }>;

/** The version of the secret that signs a workspace's webhooks. Until a time, they are also signed with the previous secret. */
export type WebhookSecretVersion = Prisma.WorkspaceGetPayload<{ select: typeof SECRET_FIELDS }>;

const PUBLIC_FIELDS = { id: true, name: true, createdAt: true } as const satisfies Prisma.WorkspaceSelect;
const SECRET_FIELDS = {
  id: true,
  webhookSecretVersion: true,
  webhookPreviousSecretExpiresAt: true,
} as const satisfies Prisma.WorkspaceSelect;

/** The rows of `workspaces`. */
export class WorkspaceRepository {
  constructor(private readonly db: Database) {}

  async findWebhookSecretVersion(id: string): Promise<WebhookSecretVersion> {
    return this.db.prisma.workspace.findUniqueOrThrow({ where: { id }, select: SECRET_FIELDS });
  }

  /** Moves on to the next version. The previous one stays valid for `gracePeriodSeconds`. */
  async rotateWebhookSecret(
    id: string,
    gracePeriodSeconds: number,
    audit: NewAuditEntry,
  ): Promise<WebhookSecretVersion> {
    const data = {
      webhookSecretVersion: { increment: 1 },
      webhookPreviousSecretExpiresAt: new Date(databaseTimeMs() + gracePeriodSeconds * 1000),
    };
    return this.db.transactionWithPrisma(async (prisma) => {
      await prisma.auditEntry.create({ data: auditRow(audit) });
      return prisma.workspace.update({ where: { id }, data, select: SECRET_FIELDS });
    });
  }

  /** Inserts a workspace and its first API key in one commit. */
  async insert(
    { id, name }: Pick<Workspace, 'id' | 'name'>,
    key: NewApiKey,
    audit: NewAuditEntry[],
  ): Promise<{ workspace: Workspace; apiKey: ApiKey }> {
    return this.db.transactionWithPrisma(async (prisma) => {
      const workspace = await prisma.workspace.create({ data: { id, name }, select: PUBLIC_FIELDS });
      const apiKey = await prisma.apiKey.create({ data: newKeyRow(key), omit: { hash: true } });
      await prisma.auditEntry.createMany({ data: audit.map(auditRow) });
      return { workspace, apiKey: toApiKey(apiKey) };
    });
  }

  /** Up to 2 workspaces with this name. Names are not unique. */
  async findByName(name: string): Promise<Workspace[]> {
    return this.db.prisma.workspace.findMany({ where: { name }, take: 2, select: PUBLIC_FIELDS });
  }

  async find(id: string): Promise<Workspace | null> {
    // Prisma compares the IDs of simultaneous lookups as text, and PostgreSQL returns lower case.
    const where = { id: id.toLowerCase() };
    return this.db.prisma.workspace.findUnique({ where, select: PUBLIC_FIELDS });
  }
}
