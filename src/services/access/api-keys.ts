import { hashApiKey, apiKeyHint, generateApiKey } from '../../core/access/api-key.js';
import { newAuditEntry } from '../../core/access/audit-entry.js';
import { type Caller, SCOPES } from '../../core/access/caller.js';
import { InputRejected } from '../../core/errors.js';
import { isId, newId } from '../../core/primitives/ids.js';
import { definedLimits, validateLimits, type Limits } from '../../core/limits/limits.js';
import { type ApiKey } from '../../db/access/api-key-repository.js';
import { type Workspace } from '../../db/access/workspace-repository.js';
import {
  throwIfAny,
  validateExpiry,
  validateGracePeriod,
  validateName,
  validateScopes,
} from './validate-api-key.js';
import { BY_ID } from '../pagination/page-cursors.js';
import { type Page, type PageRequest, readPage } from '../pagination/read-page.js';
import { type Dependencies } from '../dependencies.js';

export type { ApiKey, Workspace };

/** Input for creating an API key. */
export interface ApiKeyRequest {
  name: string;
  scopes: readonly string[];
  expiresAt?: Date | null;
  limits?: Limits | null;
}

/** A new API key and its secret. The secret is returned once and never stored. */
export interface CreatedApiKey {
  apiKey: ApiKey;
  secret: string;
}

/** Long enough to deploy the new secret everywhere within one change. */
const DEFAULT_GRACE_PERIOD_SECONDS = 3_600;

/** Administers API keys and workspaces. A key of another workspace is reported as not found. */
export class ApiKeys {
  constructor(private readonly deps: Pick<Dependencies, 'apiKeys' | 'workspaces'>) {}

  /** Returns a page of the workspace's keys, newest first. Throws BadRequest for an invalid page size or cursor. */
  page({ workspaceId }: Caller, page: PageRequest): Promise<Page<ApiKey>> {
    return readPage(page, BY_ID, (after, limit) => this.deps.apiKeys.page(workspaceId, after, limit));
  }

  /** Creates a key in the caller's workspace. Throws InputRejected with every error. */
  async create(caller: Caller, request: ApiKeyRequest): Promise<CreatedApiKey> {
    throwIfAny([
      ...validateName(request.name),
      ...validateScopes(caller, request.scopes),
      ...validateExpiry(request.expiresAt ?? null),
      ...validateLimits(request.limits ?? {}),
    ]);
    const { key, secret } = buildNewKey(caller.workspaceId, request);
    const { id, name, scopes, limits, expiresAt } = key;
    const audit = newAuditEntry(caller, 'API_KEY_CREATED', {
      targetId: id,
      data: { name, scopes, limits, expiresAt },
    });
    return { apiKey: await this.deps.apiKeys.insert(key, audit), secret };
  }

  /** Revokes a key. Revoking it again keeps the first `revokedAt`. Throws InputRejected NOT_FOUND. */
  async revoke(caller: Caller, id: string): Promise<{ apiKey: ApiKey }> {
    const audit = newAuditEntry(caller, 'API_KEY_REVOKED', { targetId: id.toLowerCase() });
    const apiKey = isId(id) ? await this.deps.apiKeys.revoke(caller.workspaceId, id, audit) : null;
    if (!apiKey) throw keyNotFound();
    return { apiKey };
  }

  /**
   * Replaces a key with a new one with the same name, scopes, limits and expiry. The old key keeps working for
   * `gracePeriodSeconds`, by default an hour. Throws InputRejected NOT_FOUND, also for an inactive key, and
   * INVALID_GRACE_PERIOD. Throws InputRejected SCOPE_NOT_HELD for a key with scopes that the caller lacks, because the
   * caller receives its secret.
   */
  async rotate(caller: Caller, id: string, gracePeriod: number | null): Promise<CreatedApiKey> {
    const gracePeriodSeconds = gracePeriod ?? DEFAULT_GRACE_PERIOD_SECONDS;
    throwIfAny(validateGracePeriod(gracePeriodSeconds));
    const oldKey = isId(id) ? await this.deps.apiKeys.find(caller.workspaceId, id) : null;
    if (!oldKey) throw keyNotFound();
    if (oldKey.scopes.length > 0)
      throwIfAny(
        validateScopes(caller, oldKey.scopes).map((error) => ({ ...error, field: ['input', 'id'] })),
      );
    const secret = generateApiKey();
    const successor = { id: newId(), ...apiKeyHint(secret), hash: hashApiKey(secret) };
    const data = { name: oldKey.name, newKeyId: successor.id, gracePeriodSeconds };
    const audit = newAuditEntry(caller, 'API_KEY_ROTATED', { targetId: oldKey.id, data });
    const apiKey = await this.deps.apiKeys.rotate(oldKey, successor, { gracePeriodSeconds, audit });
    if (!apiKey) throw keyNotFound();
    return { apiKey, secret };
  }

  /** Creates a workspace and its first API key. Throws InputRejected with every error. */
  async createWorkspace(
    caller: Caller,
    name: string,
    scopes: readonly string[],
  ): Promise<CreatedApiKey & { workspace: Workspace }> {
    throwIfAny([...validateName(name), ...validateScopes(caller, scopes)]);
    const workspaceId = newId();
    const { key, secret } = buildNewKey(workspaceId, { name: 'first key', scopes });
    const workspaceEntry = newAuditEntry(caller, 'WORKSPACE_CREATED', {
      targetId: workspaceId,
      data: { name },
    });
    const data = { name: key.name, scopes: key.scopes };
    const keyEntry = newAuditEntry(caller, 'API_KEY_CREATED', { targetId: key.id, data });
    const entries = [workspaceEntry, { ...keyEntry, workspaceId }];
    return { ...(await this.deps.workspaces.insert({ id: workspaceId, name }, key, entries)), secret };
  }
}

function buildNewKey(workspaceId: string, { name, scopes, expiresAt, limits }: ApiKeyRequest) {
  const secret = generateApiKey();
  const key = {
    id: newId(),
    workspaceId,
    name,
    ...apiKeyHint(secret),
    hash: hashApiKey(secret),
    scopes: SCOPES.filter((scope) => scopes.includes(scope)),
    limits: definedLimits(limits),
    expiresAt: expiresAt ?? null,
  };
  return { key, secret };
}

function keyNotFound(): InputRejected {
  return InputRejected.argument('NOT_FOUND', 'id', 'No active key with this ID in your workspace.');
}
