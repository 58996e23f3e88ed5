import { databaseNow, databaseTimeMs } from '../../core/primitives/clock.js';
import { type ApiKeyHint } from '../../core/access/api-key.js';
import { type NewAuditEntry, SYSTEM_ACTORS } from '../../core/access/audit-entry.js';
import { isScope, type Scope, SCOPES } from '../../core/access/caller.js';
import { newId } from '../../core/primitives/ids.js';
import { type Limits } from '../../core/limits/limits.js';
import { auditRow } from './audit-repository.js';
import { type ApiKey as ApiKeyRow, type Prisma } from '../generated/client.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** An API key without its secret. */
export type ApiKey = Omit<ApiKeyRow, 'hash' | 'scopes' | 'limits'> & {
  scopes: readonly Scope[];
  limits: Limits;
};

/** The API key of a request, with the name of its workspace. */
export type ApiKeyWithWorkspace = ApiKey & { workspaceName: string };

/** An API key to insert. */
export type NewApiKey = Omit<ApiKey, 'lineageId' | 'createdAt' | 'revokedAt' | 'lastUsedAt'> &
  ApiKeyHint & { hash: Buffer; /** Absent: the key replaces no other one. */ lineageId?: string };

const findWithWorkspaceSql = (condition: string) => `
  SELECT key.id, key.lineage_id AS "lineageId", key.workspace_id AS "workspaceId", key.name, key.prefix, key.last_four AS "lastFour", key.scopes, key.limits,
         key.created_at AS "createdAt", key.expires_at AS "expiresAt", key.revoked_at AS "revokedAt",
         key.last_used_at AS "lastUsedAt", workspace.name AS "workspaceName"
  FROM api_keys key JOIN workspaces workspace ON workspace.id = key.workspace_id WHERE ${condition}`;
const FIND_BY_HASH = statement<{ hash: Buffer }, ApiKeyWithWorkspace>(
  'find-key-by-hash',
  findWithWorkspaceSql('key.hash = :hash'),
);
const FIND_BY_ID = statement<{ id: string }, ApiKeyWithWorkspace>(
  'find-key-by-id',
  findWithWorkspaceSql('key.id = :id'),
);

/** Selects everything but the hash. */
const WITHOUT_HASH = { hash: true } as const satisfies Prisma.ApiKeyOmit;

/** The rows of `api_keys`. */
export class ApiKeyRepository {
  constructor(private readonly db: Database) {}

  /** The key with this SHA-256 in any workspace, even if it is revoked or expired. */
  async findByHash(hash: Buffer): Promise<ApiKeyWithWorkspace | null> {
    const [row] = await this.db.query(FIND_BY_HASH, { hash });
    return row ? withKnownScopes(row) : null;
  }

  /** A key of any workspace: for credentials that we signed and that name their key. */
  async findById(id: string): Promise<ApiKeyWithWorkspace | null> {
    const [row] = await this.db.query(FIND_BY_ID, { id });
    return row ? withKnownScopes(row) : null;
  }

  /** A key of the workspace, even if it is revoked or expired. */
  async find(workspaceId: string, id: string): Promise<ApiKey | null> {
    const row = await this.db.withPrismaAsCaller(
      { workspaceId },
      (prisma) => prisma.apiKey.findUnique({ where: { id, workspaceId }, omit: WITHOUT_HASH }),
      { needsSlot: false },
    );
    return row && toApiKey(row);
  }

  /** The IDs among these whose keys are neither revoked nor expired. */
  async findActive(ids: readonly string[]): Promise<Set<string>> {
    const isUnexpired = [{ expiresAt: null }, { expiresAt: { gt: databaseNow() } }];
    const where = { id: { in: [...ids] }, revokedAt: null, OR: isUnexpired };
    const rows = await this.db.prisma.apiKey.findMany({ where, select: { id: true } });
    return new Set(rows.map(({ id }) => id));
  }

  /** A page of the workspace's keys, newest first, below `before`. */
  async page(workspaceId: string, before: string | null, limit: number): Promise<ApiKey[]> {
    const where = { workspaceId, ...(before !== null && { id: { lt: before } }) };
    const rows = await this.db.withPrismaAsCaller(
      { workspaceId },
      (prisma) => prisma.apiKey.findMany({ where, orderBy: { id: 'desc' }, take: limit, omit: WITHOUT_HASH }),
      { needsSlot: false },
    );
    return rows.map(toApiKey);
  }

  async insert(key: NewApiKey, audit: NewAuditEntry): Promise<ApiKey> {
    return this.db.transactionWithPrisma(async (prisma) => {
      await prisma.auditEntry.create({ data: auditRow(audit) });
      return toApiKey(await prisma.apiKey.create({ data: newKeyRow(key), omit: WITHOUT_HASH }));
    });
  }

  /** Revokes a key and returns it. Null when the workspace has no such key. A revoked key stays unchanged. */
  async revoke(workspaceId: string, id: string, audit: NewAuditEntry): Promise<ApiKey | null> {
    const row = await this.db.transactionWithPrisma(async (prisma) => {
      const where = { workspaceId, id };
      const { count } = await prisma.apiKey.updateMany({
        where: { ...where, revokedAt: null },
        data: { revokedAt: databaseNow() },
      });
      if (count > 0) await prisma.auditEntry.create({ data: auditRow(audit) });
      return prisma.apiKey.findUnique({ where, omit: WITHOUT_HASH });
    });
    return row && toApiKey(row);
  }

  /**
   * Inserts a successor of a key, in the same lineage. The key stays valid for `gracePeriodSeconds`, but never longer than before.
   * A key that was already replaced can be replaced again, because the answer may have been lost. Null when the workspace has no
   * such active key.
   */
  async rotate(
    { workspaceId, id }: Pick<ApiKey, 'workspaceId' | 'id'>,
    successor: Pick<NewApiKey, 'id' | 'hash' | keyof ApiKeyHint>,
    { gracePeriodSeconds, audit }: { gracePeriodSeconds: number; audit: NewAuditEntry },
  ): Promise<ApiKey | null> {
    const row = await this.db.transactionWithPrisma(async (prisma) => {
      // Changes nothing, but locks the row, so that concurrent rotations follow one another.
      const [old] = await prisma.apiKey.updateManyAndReturn({
        where: { workspaceId, id, revokedAt: null },
        data: { revokedAt: null },
      });
      const now = databaseTimeMs();
      if (!old || (old.expiresAt && old.expiresAt.getTime() <= now)) return null;
      const { lineageId, name, scopes, limits } = old;
      // That of a key that was already replaced is the end of its grace period.
      const { expiresAt } = await prisma.apiKey.findFirstOrThrow({
        where: { workspaceId, lineageId },
        orderBy: { expiresAt: { sort: 'desc', nulls: 'first' } },
        select: { expiresAt: true },
      });
      const graceEnd = new Date(now + gracePeriodSeconds * 1000);
      if (!old.expiresAt || graceEnd < old.expiresAt)
        await prisma.apiKey.update({ where: { id }, data: { expiresAt: graceEnd } });
      await prisma.auditEntry.create({ data: auditRow(audit) });
      const inherited = { lineageId, workspaceId, name, scopes, limits: limits as Limits, expiresAt };
      return prisma.apiKey.create({ data: newKeyRow({ ...successor, ...inherited }), omit: WITHOUT_HASH });
    });
    return row && toApiKey(row);
  }

  /** Sets the time of last use of these keys to now. */
  async markUsed(ids: readonly string[]): Promise<void> {
    const where = { id: { in: [...ids] } };
    await this.db.prisma.apiKey.updateMany({ where, data: { lastUsedAt: databaseNow() } });
  }

  /**
   * Inserts the first workspace and its API key if there is no key yet, and returns whether it did. When several instances
   * start at once, only one of them inserts.
   */
  async insertFirst({ prefix, lastFour, hash }: ApiKeyHint & { hash: Buffer }): Promise<boolean> {
    return this.db.transactionWithPrisma(async (prisma) => {
      await prisma.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('darkroom first key'))`;
      if (await prisma.apiKey.findFirst({ select: { id: true } })) return false;
      const [id, workspaceId, name] = [newId(), newId(), 'first key'];
      const key = {
        id,
        workspaceId,
        name,
        prefix,
        lastFour,
        hash,
        scopes: SCOPES,
        limits: {},
        expiresAt: null,
      };
      await prisma.workspace.create({ data: { id: workspaceId, name: 'default' } });
      await prisma.apiKey.create({ data: newKeyRow(key) });
      await prisma.auditEntry.create({ data: auditRow(keyCreatedEntry(SYSTEM_ACTORS.firstStart, key)) });
      return true;
    });
  }
}

/** The audit entry of a key that no caller created. */
export function keyCreatedEntry(
  actor: string,
  { id, workspaceId, name, scopes }: Pick<NewApiKey, 'id' | 'workspaceId' | 'name' | 'scopes'>,
): NewAuditEntry {
  const noCaller = { keyId: null, endUserId: null, clientAddress: null };
  const data = { name, scopes };
  return { id: newId(), workspaceId, action: 'API_KEY_CREATED', actor, ...noCaller, targetId: id, data };
}

/** The row of a new key. */
export function newKeyRow({
  hash,
  scopes,
  limits,
  ...key
}: Omit<NewApiKey, 'scopes'> & { scopes: readonly string[] }) {
  return {
    lineageId: key.id,
    ...key,
    hash: new Uint8Array(hash),
    scopes: [...scopes],
    limits: { ...limits },
  };
}

export function toApiKey({ limits, ...key }: Omit<ApiKeyRow, 'hash'>): ApiKey {
  return withKnownScopes({ ...key, limits: limits as Limits });
}

/** A newer release may have granted scopes that this one does not know. They allow nothing here. */
function withKnownScopes<Key extends { scopes: readonly string[] }>(key: Key) {
  return { ...key, scopes: key.scopes.filter(isScope) };
}
