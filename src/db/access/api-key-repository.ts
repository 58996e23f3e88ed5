import { type KeyMark } from '../../core/access/api-key.js';
import { type NewAuditEntry, OPERATORS } from '../../core/access/audit-entry.js';
import { isScope, type Scope, SCOPES } from '../../core/access/caller.js';
import { newId } from '../../core/primitives/ids.js';
import { type Limits } from '../../core/limits/limits.js';
import { audited, auditValue } from './audit-repository.js';
import { type Database } from '../postgres/database.js';

/** A key as it may be shown: never the key itself. */
export interface ApiKey {
  id: string;
  workspaceId: string;
  name: string;
  prefix: string;
  /** Null: from before this was kept. */
  lastFour: string | null;
  scopes: readonly Scope[];
  limits: Limits;
  createdAt: Date;
  expiresAt: Date | null;
  revokedAt: Date | null;
  /** To the minute; null: never. */
  lastUsedAt: Date | null;
}

/** A key that somebody came with, and whose it is. */
export type KnownKey = ApiKey & { workspaceName: string };

/** A key that is about to be written. */
export interface NewApiKey extends KeyMark {
  id: string;
  workspaceId: string;
  name: string;
  hash: Buffer;
  scopes: readonly Scope[];
  limits: Limits;
  expiresAt: Date | null;
}

/** The columns of `ApiKey`, of a part of a statement that is called `key`. */
export const KEY_COLUMNS = `
  key.id, key.workspace_id AS "workspaceId", key.name, key.prefix, key.last_four AS "lastFour", key.scopes, key.limits,
  key.created_at AS "createdAt", key.expires_at AS "expiresAt", key.revoked_at AS "revokedAt",
  key.last_used_at AS "lastUsedAt"`;
export const NEW_KEY = `
  INSERT INTO api_keys (id, workspace_id, name, prefix, last_four, hash, scopes, limits, expires_at)`;

const FIND_KNOWN = (condition: string) => `
  SELECT ${KEY_COLUMNS}, workspace.name AS "workspaceName"
  FROM api_keys key JOIN workspaces workspace ON workspace.id = key.workspace_id WHERE ${condition}`;
const FIND_BY_HASH = { name: 'find-key-by-hash', text: FIND_KNOWN('key.hash = $1') };
const FIND_BY_ID = { name: 'find-key-by-id', text: FIND_KNOWN('key.id = $1') };
const FIND = {
  name: 'find-key',
  text: `SELECT ${KEY_COLUMNS} FROM api_keys key WHERE key.workspace_id = $1 AND key.id = $2`,
};
const FIND_LIVE = {
  name: 'find-live-keys',
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
  WITH key AS (${NEW_KEY} VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9) RETURNING *),${audited('$10', 'key')}
  SELECT ${KEY_COLUMNS} FROM key`,
};
/** One that was revoked before stays as it is, and is not told a second time. */
const REVOKE = {
  name: 'revoke-key',
  text: `
  WITH revoked AS (
    UPDATE api_keys SET revoked_at = now() WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NULL RETURNING *
  ),${audited('$3', 'revoked')}
  SELECT ${KEY_COLUMNS} FROM (
    SELECT * FROM revoked
    UNION ALL SELECT * FROM api_keys WHERE workspace_id = $1 AND id = $2 AND revoked_at IS NOT NULL
  ) key`,
};
/** The old one never lives longer than it would have. Nothing happens when it is not good any more. */
const ROTATE = {
  name: 'rotate-key',
  text: `
  WITH old AS (
    UPDATE api_keys SET expires_at = least(before.expires_at, now() + make_interval(secs => $3))
    FROM (SELECT id, expires_at FROM api_keys WHERE workspace_id = $1 AND id = $2 FOR UPDATE) before
    WHERE api_keys.id = before.id AND revoked_at IS NULL
      AND (before.expires_at IS NULL OR before.expires_at > now())
    RETURNING api_keys.*, before.expires_at AS lifetime
  ), key AS (${NEW_KEY}
    SELECT $4::uuid, workspace_id, name, $5, $6, $7::bytea, scopes, limits, lifetime FROM old RETURNING *
  ),${audited('$8', 'key')}
  SELECT ${KEY_COLUMNS} FROM key`,
};
const MARK_USED = {
  name: 'mark-keys-used',
  text: 'UPDATE api_keys SET last_used_at = now() WHERE id = ANY($1::uuid[])',
};

/** The rows of `api_keys`. */
export class ApiKeys {
  constructor(private readonly db: Database) {}

  /** The key with this SHA-256, also one that is not good any more. Any workspace's: nobody has it but its holder. */
  async findByHash(hash: Buffer): Promise<KnownKey | null> {
    const [row] = await this.db.run<KnownKey>(FIND_BY_HASH, [hash]);
    return row ? withKnownScopes(row) : null;
  }

  /** Any workspace's key: for what was signed by us to be of it. */
  async findById(id: string): Promise<KnownKey | null> {
    const [row] = await this.db.run<KnownKey>(FIND_BY_ID, [id]);
    return row ? withKnownScopes(row) : null;
  }

  async find(workspaceId: string, id: string): Promise<ApiKey | null> {
    const [row] = await this.db.within<ApiKey>(workspaceId, FIND, [workspaceId, id]);
    return row ? withKnownScopes(row) : null;
  }

  /** Whether the workspace has, or had, this key. */
  async belongsTo(workspaceId: string, id: string): Promise<boolean> {
    return (await this.find(workspaceId, id)) !== null;
  }

  /** Those of these keys that are neither revoked nor expired. */
  async findLive(ids: readonly string[]): Promise<Set<string>> {
    const rows = await this.db.run<{ id: string }>(FIND_LIVE, [ids]);
    return new Set(rows.map(({ id }) => id));
  }

  /** A page of the workspace's keys, newest first, below `before`. */
  async page(workspaceId: string, before: string | null, limit: number): Promise<ApiKey[]> {
    const rows = await this.db.within<ApiKey>(workspaceId, PAGE, [workspaceId, before, limit]);
    return rows.map(withKnownScopes);
  }

  async insert(key: NewApiKey, audit: NewAuditEntry): Promise<ApiKey> {
    const [row] = await this.db.run<ApiKey>(INSERT, [...keyValues(key), auditValue(audit)]);
    if (!row) throw new Error('The key was not written.');
    return withKnownScopes(row);
  }

  /** The key, revoked; null when the workspace has no such key. */
  async revoke(workspaceId: string, id: string, audit: NewAuditEntry): Promise<ApiKey | null> {
    const [row] = await this.db.run<ApiKey>(REVOKE, [workspaceId, id, auditValue(audit)]);
    return row ? withKnownScopes(row) : null;
  }

  /** A key like that one, which lives for `graceSeconds` more; null when the workspace has no such key that is good. */
  async rotate(
    workspaceId: string,
    id: string,
    { id: newKeyId, prefix, lastFour, hash }: Pick<NewApiKey, 'id' | 'hash' | keyof KeyMark>,
    graceSeconds: number,
    audit: NewAuditEntry,
  ): Promise<ApiKey | null> {
    const secret = [newKeyId, prefix, lastFour, hash];
    const values = [workspaceId, id, graceSeconds, ...secret, auditValue(audit)];
    const [row] = await this.db.run<ApiKey>(ROTATE, values);
    return row ? withKnownScopes(row) : null;
  }

  /** Writes down that these keys were used just now. */
  async markUsed(ids: readonly string[]): Promise<void> {
    await this.db.run(MARK_USED, [ids]);
  }

  /**
   * On an installation without any key, makes the first workspace and its key; false where there is a key already.
   * Safe when several instances start at once: only one of them makes it.
   */
  async insertFirst({ prefix, lastFour, hash }: KeyMark & { hash: Buffer }): Promise<boolean> {
    return this.db.transaction(async (query) => {
      await query(`SELECT pg_advisory_xact_lock(hashtext('darkroom first key'))`, []);
      if ((await query('SELECT 1 FROM api_keys LIMIT 1', [])).length > 0) return false;
      const [id, workspaceId, name] = [newId(), newId(), 'first key'];
      await query(`INSERT INTO workspaces (id, name) VALUES ($1, 'default')`, [workspaceId]);
      const key = { id, workspaceId, name, prefix, lastFour, hash, scopes: SCOPES };
      const audit = keyCreatedBy(OPERATORS.start, key);
      await query(INSERT.text, [...keyValues({ ...key, limits: {}, expiresAt: null }), auditValue(audit)]);
      return true;
    });
  }
}

/** The entry of a key that no caller made. */
export function keyCreatedBy(
  actor: string,
  { id, workspaceId, name, scopes }: Pick<NewApiKey, 'id' | 'workspaceId' | 'name' | 'scopes'>,
): NewAuditEntry {
  const nobody = { keyId: null, endUserId: null, source: null };
  const data = { name, scopes };
  return { id: newId(), workspaceId, action: 'KEY_CREATED', actor, ...nobody, subject: id, data };
}

/** The values of a NEW_KEY, in its order. */
export function keyValues(key: NewApiKey): unknown[] {
  const { id, workspaceId, name, prefix, lastFour, hash, scopes, limits, expiresAt } = key;
  return [id, workspaceId, name, prefix, lastFour, hash, scopes, JSON.stringify(limits), expiresAt];
}

/** A newer version may have given scopes that this one does not know: they allow nothing here. */
function withKnownScopes<Key extends ApiKey>(key: Key): Key {
  return { ...key, scopes: key.scopes.filter(isScope) };
}
