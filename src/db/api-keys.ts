import { SCOPES, type Caller, type Scope } from '../core/caller.js';
import { newId } from '../core/ids.js';
import { type Database } from './database.js';

const FIND_LIVE = {
  name: 'find-live-keys',
  text: `SELECT id FROM api_keys
         WHERE id = ANY($1::uuid[]) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`,
};

/** The rows of `api_keys` and of `workspaces`. */
export class ApiKeys {
  constructor(private readonly db: Database) {}

  /** Who the key with this SHA-256 speaks for; null when it is unknown, revoked or expired. */
  async findCaller(hash: Buffer): Promise<Caller | null> {
    const key = await this.db.read((prisma) =>
      prisma.apiKey.findUnique({ where: { hash: new Uint8Array(hash) }, include: { workspace: true } }),
    );
    if (!key || key.revokedAt || (key.expiresAt && key.expiresAt <= new Date())) return null;
    return {
      workspaceId: key.workspaceId,
      workspaceName: key.workspace.name,
      keyId: key.id,
      keyName: key.name,
      keyPrefix: key.prefix,
      endUserId: null,
      scopes: key.scopes.filter((scope): scope is Scope => SCOPES.some((known) => known === scope)),
    };
  }

  /** Whether the workspace has, or had, this key. */
  async belongsTo(workspaceId: string, id: string): Promise<boolean> {
    return (await this.db.read((prisma) => prisma.apiKey.count({ where: { id, workspaceId } }))) > 0;
  }

  /** Those of these keys that are neither revoked nor expired. */
  async findLive(ids: readonly string[]): Promise<Set<string>> {
    const rows = await this.db.run<{ id: string }>(FIND_LIVE, [ids]);
    return new Set(rows.map(({ id }) => id));
  }

  /**
   * On an installation without any key, makes the first workspace and its key; false where there is a key already.
   * Safe when several instances start at once: only one of them makes it.
   */
  async insertFirst(hash: Buffer, prefix: string): Promise<boolean> {
    return this.db.read((prisma) =>
      prisma.$transaction(async (transaction) => {
        await transaction.$executeRaw`SELECT pg_advisory_xact_lock(hashtext('darkroom first key'))`;
        if ((await transaction.apiKey.count()) > 0) return false;
        const workspace = await transaction.workspace.create({ data: { id: newId(), name: 'default' } });
        await transaction.apiKey.create({
          data: {
            id: newId(),
            workspaceId: workspace.id,
            name: 'first key',
            prefix,
            hash: new Uint8Array(hash),
            scopes: [...SCOPES],
          },
        });
        return true;
      }),
    );
  }
}
