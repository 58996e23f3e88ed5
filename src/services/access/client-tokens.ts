import { databaseNow } from '../../core/primitives/clock.js';
import { newAuditEntry } from '../../core/access/audit-entry.js';
import { type Caller, CLIENT_TOKEN_SCOPES } from '../../core/access/caller.js';
import { Forbidden } from '../../core/errors.js';
import { type UserError } from '../../core/primitives/user-error.js';
import { isId, newId } from '../../core/primitives/ids.js';
import { definedLimits, validateLimits, type Limits } from '../../core/limits/limits.js';
import { throwIfAny, validateScopes } from './validate-api-key.js';
import { endUserErrors } from './end-user.js';
import { type TokenSigning } from './token-signing.js';
import { type Dependencies } from '../dependencies.js';

/** Input for creating a client token. */
export interface ClientTokenRequest {
  scopes: readonly string[];
  endUserId?: string | null;
  taskIds?: readonly string[] | null;
  expiresInSeconds?: number | null;
  limits?: Limits | null;
}

/** A signed client token. It is returned once and never stored. */
export interface CreatedToken {
  token: string;
  expiresAt: Date;
}

const DEFAULT_LIFETIME_SECONDS = 3_600;
const MIN_LIFETIME_SECONDS = 60;
/** A day. A browser must ask its own backend for a new token then, and that backend checks its user again. */
const MAX_LIFETIME_SECONDS = 24 * 3_600;
/** The IDs are part of the token, which every request sends in a header. */
const MAX_TASK_IDS = 100;

/** Creates client tokens for browsers. A token never has more permissions than its API key, nor a longer life. */
export class ClientTokens {
  constructor(
    private readonly deps: Pick<Dependencies, 'auditLog' | 'tasks'> & { tokenSigning: TokenSigning },
  ) {}

  /**
   * Creates a signed token that expires after `expiresInSeconds`, by default an hour, and no later than the caller's key.
   * Throws InputRejected with every error. Throws Forbidden for a caller with a token, because a token that could create
   * its successor would never end.
   */
  async create(caller: Caller, request: ClientTokenRequest): Promise<CreatedToken> {
    if (caller.credentialType !== 'API_KEY')
      throw new Forbidden('key', 'A token cannot create client tokens. Use an API key.');
    const seconds = request.expiresInSeconds ?? DEFAULT_LIFETIME_SECONDS;
    const taskIds = request.taskIds?.map((id) => id.toLowerCase()) ?? null;
    const errors = [
      ...validateScopes(caller, request.scopes, CLIENT_TOKEN_SCOPES),
      ...endUserErrors(request.endUserId),
      ...validateLifetime(seconds),
      ...validateLimits(request.limits ?? {}, caller.limits),
      ...(await this.validateTaskIds(caller, taskIds)),
    ];
    throwIfAny(errors);

    const issuedAt = databaseNow();
    const expiresAtMs = Math.min(
      issuedAt.getTime() + seconds * 1_000,
      caller.expiresAt?.getTime() ?? Infinity,
    );
    // A JWT has whole seconds.
    const expiresAt = new Date(Math.floor(expiresAtMs / 1_000) * 1_000);
    const scopes = CLIENT_TOKEN_SCOPES.filter((scope) => request.scopes.includes(scope));
    const endUserId = request.endUserId ?? null;
    const grants = { scopes, endUserId, taskIds, limits: definedLimits(request.limits) };
    const { keyId, workspaceId } = caller;
    const id = newId();
    const token = await this.deps.tokenSigning.sign({
      id,
      keyId,
      workspaceId,
      ...grants,
      issuedAt,
      expiresAt,
    });
    // A token is not a row, so there is no commit to share. The entry comes first, so that no token exists without one.
    await this.deps.auditLog.insert(
      newAuditEntry(caller, 'CLIENT_TOKEN_CREATED', { targetId: id, data: { ...grants, expiresAt } }),
    );
    return { token, expiresAt };
  }

  private async validateTaskIds(caller: Caller, ids: readonly string[] | null): Promise<UserError[]> {
    if (ids === null) return [];
    const field = ['input', 'taskIds'];
    if (ids.length === 0 || ids.length > MAX_TASK_IDS) {
      const message = `taskIds has ${ids.length} IDs. Use 1 to ${MAX_TASK_IDS}, or omit taskIds for all tasks.`;
      return [{ code: 'INVALID_TASK_IDS', message, field }];
    }
    const found = new Set((await this.deps.tasks.findMany(caller, ids.filter(isId))).map(({ id }) => id));
    if (ids.every((id) => found.has(id))) return [];
    const message = 'taskIds has an ID without a task in your workspace. Remove it.';
    return [{ code: 'NOT_FOUND', message, field }];
  }
}

function validateLifetime(seconds: number): UserError[] {
  if (seconds >= MIN_LIFETIME_SECONDS && seconds <= MAX_LIFETIME_SECONDS) return [];
  const message = `expiresInSeconds is ${seconds}. Use ${MIN_LIFETIME_SECONDS} to ${MAX_LIFETIME_SECONDS}.`;
  return [{ code: 'INVALID_EXPIRY', message, field: ['input', 'expiresInSeconds'] }];
}
