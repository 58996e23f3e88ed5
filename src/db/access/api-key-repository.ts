import { type ApiKeyHint } from '../../core/access/api-key.js';
import { type NewAuditEntry, SYSTEM_ACTORS } from '../../core/access/audit-entry.js';
import { isScope, type Scope, SCOPES } from '../../core/access/caller.js';
import { newId } from '../../core/primitives/ids.js';
import { type Limits } from '../../core/limits/limits.js';
import { insertAuditSql, auditParameter } from './audit-repository.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** An API key without its secret. */
export interface ApiKey {
  id: string;
  workspaceId: string;
  name: string;
  prefix: string;
  lastFour: string | null;
  scopes: readonly Scope[];
  limits: Limits;
  createdAt: Date;
  expiresAt: Date | null;
  revokedAt: Date | null;
  /** Precise to the minute. Null: never used. */
  lastUsedAt: Date | null;
}

/** The API key of a request, with the name of its workspace. */
export type ApiKeyWithWorkspace = ApiKey & { workspaceName: string };

/** An API key to insert. */
export interface NewApiKey extends ApiKeyHint {
  id: string;
  workspaceId: string;
  name: string;
  hash: Buffer;
  scopes: readonly Scope[];
  limits: Limits;
  expiresAt: Date | null;
}

/** The columns of `ApiKey`, for a query whose table or CTE is named `key`. */
export const KEY_COLUMNS = `
  key.id, key.workspace_id AS "workspaceId", key.name, key.prefix, key.last_four AS "lastFour", key.scopes, key.limits,
  key.created_at AS "createdAt", key.expires_at AS "expiresAt", key.revoked_at AS "revokedAt",
  key.last_used_at AS "lastUsedAt"`;
export const INSERT_KEY_INTO = `
  INSERT INTO api_keys (id, workspace_id, name, prefix, last_four, hash, scopes, limits, expires_at)`;

const findWithWorkspaceSql = (condition: string) => `
  SELECT ${KEY_COLUMNS}, workspace.name AS "workspaceName"
  FROM api_keys key JOIN workspaces workspace ON workspace.id = key.workspace_id WHERE ${condition}`;
const FIND_BY_HASH = { name: 'find-key-by-hash', text: findWithWorkspaceSql('key.hash = $1') };
const FIND_BY_ID = { name: 'find-key-by-id', text: findWithWorkspaceSql('key.id = $1') };
const FIND = {
  name: 'find-key',
  text: `SELECT ${KEY_COLUMNS} FROM api_keys key WHERE key.workspace_id = $1 AND key.id = $2`,
};
const FIND_ACTIVE = {
  name: 'find-active-keys',
  text: `SELECT id FROM api_keys
         WHERE id = ANY($1::uuid[]) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())`,
};
const PAGE = {
  name: 'page-of-keys',
  text: `SELECT ${KEY_COLUMNS} FROM api_keys key
         WHERE key.workspace_id = $1 AND ($2::uuid IS NULL OR key.id < $2) ORDER BY key.id DESC LIMIT $3`,
};
const INSERT = {
  name: 'insert-key',
  text: `
  WITH key AS (${INSERT_KEY_INTO} VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9) RETURNING *),${insertAuditSql('$10', 'key')}
  SELECT ${KEY_COLUMNS} FROM key`,
};
/** A key that is already revoked stays unchanged and gets no second audit entry. */
const REVOKE = {
  name: 'revoke-key',
  text: `
  WITH revoked AS (
    UPDATE api_keys SET revoked_at = now() WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING *
  ),${insertAuditSql('$3', 'revoked')}
  SELECT ${KEY_COLUMNS} FROM (
    SELECT * FROM revoked
    UNION ALL SELECT * FROM api_keys WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NOT NULL
  ) key`,
};
/** The old key never expires later than it would have. A key that is revoked or expired is not rotated. */
const ROTATE = {
  name: 'rotate-key',
  text: `
  WITH old AS (
    UPDATE api_keys SET expires_at = least(before.expires_at, now() + make_interval(secs => $3))
    FROM (SELECT id, expires_at FROM api_keys WHERE workspace_id = $1 AND id = $2 FOR UPDATE) before
    WHERE api_keys.id = before.id AND revoked_at IS NULL
      AND (before.expires_at IS NULL OR before.expires_at > now())
    RETURNING api_keys.*, before.expires_at AS lifetime
  ), key AS (${INSERT_KEY_INTO}
    SELECT $4::uuid, workspace_id, name, $5, $6, $7::bytea, scopes, limits, lifetime FROM old RETURNING *
  ),${insertAuditSql('$8', 'key')}
  SELECT ${KEY_COLUMNS} FROM key`,
};
const MARK_USED = {
  name: 'mark-keys-used',
  text: 'UPDATE api_keys SET last_used_at = now() WHERE id = ANY($1::uuid[])',
};

const LOCK_FIRST_KEY = statement(
  'lock-first-key',
  `SELECT pg_advisory_xact_lock(hashtext('darkroom first key'))`,
);
const FIND_ANY = statement('find-any-key', 'SELECT FROM api_keys LIMIT 1');
const INSERT_DEFAULT_WORKSPACE = statement<{ workspaceId: string }>(
  'insert-default-workspace',
  `INSERT INTO workspaces (id, name) VALUES (:workspaceId, 'default')`,
);
const INSERT_FIRST = statement<Omit<NewApiKey, 'limits'> & { limits: string; audit: string }>(
  'insert-first-key',
  `
  WITH key AS (
    ${INSERT_KEY_INTO} VALUES (:id, :workspaceId, :name, :prefix, :lastFour, :hash, :scopes, :limits::jsonb, :expiresAt)
    RETURNING *
  ),${insertAuditSql(':audit', 'key')}
  SELECT`,
);

/** The rows of `api_keys`. */
export class ApiKeyRepository {
  constructor(private readonly db: Database) {}

  /** The key with this SHA-256 in any workspace, even if it is revoked or expired. */
  async findByHash(hash: Buffer): Promise<ApiKeyWithWorkspace | null> {
    const [row] = await this.db.run<ApiKeyWithWorkspace>(FIND_BY_HASH, [hash]);
    return row ? dropUnknownScopes(row) : null;
  }

  /** A key of any workspace: for credentials that we signed and that name their key. */
  async findById(id: string): Promise<ApiKeyWithWorkspace | null> {
    const [row] = await this.db.run<ApiKeyWithWorkspace>(FIND_BY_ID, [id]);
    return row ? dropUnknownScopes(row) : null;
  }

  async find(workspaceId: string, id: string): Promise<ApiKey | null> {
    const [row] = await this.db.runAsCaller<ApiKey>(workspaceId, FIND, [workspaceId, id]);
    return row ? dropUnknownScopes(row) : null;
  }

  /** Whether this key belongs to the workspace, even if it is revoked or expired. */
  async belongsTo(workspaceId: string, id: string): Promise<boolean> {
    return (await this.find(workspaceId, id)) !== null;
  }

  /** The IDs of those keys that are neither revoked nor expired. */
  async findActive(ids: readonly string[]): Promise<Set<string>> {
    const rows = await this.db.run<{ id: string }>(FIND_ACTIVE, [ids]);
    return new Set(rows.map(({ id }) => id));
  }

  /** A page of the workspace's keys, newest first, below `before`. */
  async page(workspaceId: string, before: string | null, limit: number): Promise<ApiKey[]> {
    const rows = await this.db.runAsCaller<ApiKey>(workspaceId, PAGE, [workspaceId, before, limit]);
    return rows.map(dropUnknownScopes);
  }

  async insert(key: NewApiKey, audit: NewAuditEntry): Promise<ApiKey> {
    const [row] = await this.db.run<ApiKey>(INSERT, [...insertKeyValues(key), auditParameter(audit)]);
    if (!row) throw new Error('Inserting an API key returned no row.');
    return dropUnknownScopes(row);
  }

  /** Revokes a key and returns it. Null when the workspace has no such key. */
  async revoke(workspaceId: string, id: string, audit: NewAuditEntry): Promise<ApiKey | null> {
    const [row] = await this.db.run<ApiKey>(REVOKE, [workspaceId, id, auditParameter(audit)]);
    return row ? dropUnknownScopes(row) : null;
  }

  /** Inserts a successor of a key, which stays valid for `gracePeriodSeconds`. Null when the workspace has no such active key. */
  async rotate(
    workspaceId: string,
    id: string,
    { id: newKeyId, prefix, lastFour, hash }: Pick<NewApiKey, 'id' | 'hash' | keyof ApiKeyHint>,
    gracePeriodSeconds: number,
    audit: NewAuditEntry,
  ): Promise<ApiKey | null> {
    const newKeyValues = [newKeyId, prefix, lastFour, hash];
    const values = [workspaceId, id, gracePeriodSeconds, ...newKeyValues, auditParameter(audit)];
    const [row] = await this.db.run<ApiKey>(ROTATE, values);
    return row ? dropUnknownScopes(row) : null;
  }

  /** Sets the time of last use of these keys to now. */
  async markUsed(ids: readonly string[]): Promise<void> {
    await this.db.run(MARK_USED, [ids]);
  }

  /**
   * Inserts the first workspace and its API key if there is no key yet, and returns whether it did. When several instances
   * start at once, only one of them inserts.
   */
  async insertFirst({ prefix, lastFour, hash }: ApiKeyHint & { hash: Buffer }): Promise<boolean> {
    return this.db.transaction(async (query) => {
      await query(LOCK_FIRST_KEY, {});
      if ((await query(FIND_ANY, {})).length > 0) return false;
      const [id, workspaceId, name] = [newId(), newId(), 'first key'];
      await query(INSERT_DEFAULT_WORKSPACE, { workspaceId });
      const key = { id, workspaceId, name, prefix, lastFour, hash, scopes: SCOPES };
      const audit = keyCreatedEntry(SYSTEM_ACTORS.firstStart, key);
      await query(INSERT_FIRST, {
        ...key,
        limits: '{}',
        expiresAt: null,
        audit: auditParameter(audit),
      });
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

/** The values of INSERT_KEY_INTO, in its order. */
export function insertKeyValues(key: NewApiKey): unknown[] {
  const { id, workspaceId, name, prefix, lastFour, hash, scopes, limits, expiresAt } = key;
  return [id, workspaceId, name, prefix, lastFour, hash, scopes, JSON.stringify(limits), expiresAt];
}

/** A newer release may have granted scopes that this one does not know. They allow nothing here. */
function dropUnknownScopes<Key extends ApiKey>(key: Key): Key {
  return { ...key, scopes: key.scopes.filter(isScope) };
}
