import { auditEntry } from '../../core/access/audit-entry.js';
import { type Caller, isScope, type Scope, TOKEN_SCOPES } from '../../core/access/caller.js';
import { Forbidden, InputRejected } from '../../core/errors.js';
import { type InputFault } from '../../core/tasks/input-fault.js';
import { isId, newId } from '../../core/primitives/ids.js';
import { givenLimits, limitFaults, type Limits } from '../../core/limits/limits.js';
import { type AuditLog } from '../../db/access/audit-repository.js';
import { type Tasks } from '../../db/tasks/task-repository.js';
import { scopeFaults } from './validate-api-key.js';
import { endUserFaults } from '../tasks/request-validation.js';
import { type TokenSigning } from './token-signing.js';

/** What a caller says about a token that it wants. */
export interface TokenWish {
  scopes: readonly string[];
  endUserId?: string | null;
  taskIds?: readonly string[] | null;
  expiresInSeconds?: number | null;
  limits?: Limits | null;
}

export interface MadeToken {
  token: string;
  expiresAt: Date;
}

const DEFAULT_SECONDS = 3_600;
const MIN_SECONDS = 60;
/** A browser asks its own backend again every day, and that is asked who it is. */
const MAX_SECONDS = 24 * 3_600;
/** They go along with every request, in a header. */
const MAX_TASKS = 100;

/** Tokens for browsers: made by a key, never wider than it, and over when it is. */
export class ClientTokens {
  constructor(
    private readonly signing: TokenSigning,
    private readonly tasks: Tasks,
    private readonly auditLog: AuditLog,
  ) {}

  /**
   * A signed token for `expiresInSeconds` (default an hour), but not longer than the key. Throws InputRejected with every fault, and
   * Forbidden for a caller that is a token itself: it would live for ever by making the next one.
   */
  async create(caller: Caller, wish: TokenWish): Promise<MadeToken> {
    if (caller.credential !== 'KEY')
      throw new Forbidden('key', 'Only a key makes tokens; you came with a token.');
    const seconds = wish.expiresInSeconds ?? DEFAULT_SECONDS;
    const taskIds = wish.taskIds?.map((id) => id.toLowerCase()) ?? null;
    const faults = [
      ...scopeFaults(caller, wish.scopes, TOKEN_SCOPES),
      ...endUserFaults(wish.endUserId),
      ...lifetimeFaults(seconds),
      ...limitFaults(wish.limits ?? {}, caller.limits),
      ...(await this.taskFaults(caller, taskIds)),
    ];
    if (faults.length > 0) throw new InputRejected(faults);

    const issuedAt = new Date();
    const end = Math.min(issuedAt.getTime() + seconds * 1_000, caller.expiresAt?.getTime() ?? Infinity);
    // A JWT tells whole seconds.
    const expiresAt = new Date(Math.floor(end / 1_000) * 1_000);
    const scopes: Scope[] = TOKEN_SCOPES.filter((scope) => wish.scopes.filter(isScope).includes(scope));
    const endUserId = wish.endUserId ?? null;
    const given = { scopes, endUserId, taskIds, limits: givenLimits(wish.limits) };
    const { keyId, workspaceId } = caller;
    const id = newId();
    const token = await this.signing.sign({ id, keyId, workspaceId, ...given, issuedAt, expiresAt });
    // A token is no row, so there is no commit to share: before it is handed out, so that none is at large that nobody can read of.
    await this.auditLog.insert(auditEntry(caller, 'TOKEN_ISSUED', id, { ...given, expiresAt }));
    return { token, expiresAt };
  }

  private async taskFaults(caller: Caller, ids: readonly string[] | null): Promise<InputFault[]> {
    if (ids === null) return [];
    const field = ['input', 'taskIds'];
    if (ids.length === 0 || ids.length > MAX_TASKS) {
      const message = `There are ${ids.length} taskIds; give 1 to ${MAX_TASKS}, or leave them out for all tasks.`;
      return [{ code: 'INVALID_TASK_IDS', message, field }];
    }
    const found = new Set((await this.tasks.findMany(caller, ids.filter(isId))).map(({ id }) => id));
    if (ids.every((id) => found.has(id))) return [];
    const message = 'There is a task among taskIds that is not in your workspace.';
    return [{ code: 'NOT_FOUND', message, field }];
  }
}

function lifetimeFaults(seconds: number): InputFault[] {
  if (seconds >= MIN_SECONDS && seconds <= MAX_SECONDS) return [];
  const message = `expiresInSeconds is ${seconds}; give ${MIN_SECONDS} to ${MAX_SECONDS}.`;
  return [{ code: 'INVALID_EXPIRY', message, field: ['input', 'expiresInSeconds'] }];
}
