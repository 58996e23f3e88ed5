import { databaseTimeMs } from '../../core/primitives/clock.js';
import { type Caller, isScope, type Scope, SCOPES } from '../../core/access/caller.js';
import { isBlank } from '../../core/primitives/encoding/blank-text.js';
import { InputRejected } from '../../core/errors.js';
import { type UserError } from '../../core/primitives/user-error.js';

const MAX_NAME_LENGTH = 100;
const MAX_GRACE_PERIOD_SECONDS = 7 * 24 * 3_600;
/** Ten years. A typing error in the year would otherwise keep a key valid for centuries. */
const MAX_LIFETIME_MS = 10 * 366 * 24 * 3_600 * 1_000;

/** Returns the errors of a display name. */
export function validateName(name: string): UserError[] {
  if (!isBlank(name) && name.length <= MAX_NAME_LENGTH && !name.includes('\0')) return [];
  const message = `The name must have 1 to ${MAX_NAME_LENGTH} characters, must not be blank, and must not contain NUL.`;
  return [{ code: 'INVALID_NAME', message, field: ['input', 'name'] }];
}

/** Returns the errors of the scopes that a caller wants to grant. A caller can grant only scopes that it has. */
export function validateScopes(
  { scopes: callerScopes }: Pick<Caller, 'scopes'>,
  requested: readonly string[],
  allowed: readonly Scope[] = SCOPES,
): UserError[] {
  const field = ['input', 'scopes'];
  const hint = `Use any of: ${allowed.join(', ')}.`;
  if (requested.length === 0) {
    return [{ code: 'INVALID_SCOPES', message: `At least one scope is required. ${hint}`, field }];
  }
  return [...new Set(requested)].flatMap((scope): UserError[] => {
    if (!isScope(scope) || !allowed.includes(scope)) {
      const message = `The scope "${scope.slice(0, 50)}" cannot be granted here. ${hint}`;
      return [{ code: 'INVALID_SCOPES', message, field }];
    }
    if (callerScopes.includes(scope)) return [];
    const message = `Your API key or token does not have the scope "${scope}", so it cannot grant it. Use one that has it.`;
    return [{ code: 'SCOPE_NOT_HELD', message, field }];
  });
}

/** Returns the errors of how long a replaced key or secret keeps working. */
export function validateGracePeriod(seconds: number): UserError[] {
  if (seconds >= 0 && seconds <= MAX_GRACE_PERIOD_SECONDS) return [];
  const message = `gracePeriodSeconds is ${seconds}. Use 0 to ${MAX_GRACE_PERIOD_SECONDS}.`;
  return [{ code: 'INVALID_GRACE_PERIOD', message, field: ['input', 'gracePeriodSeconds'] }];
}

/** Throws InputRejected when there are errors. */
export function throwIfAny(errors: UserError[]): void {
  if (errors.length > 0) throw new InputRejected(errors);
}

/** Returns the errors of a key's expiry. Null means that the key never expires. */
export function validateExpiry(expiresAt: Date | null): UserError[] {
  const lifetimeMs = expiresAt ? expiresAt.getTime() - databaseTimeMs() : 1;
  if (lifetimeMs > 0 && lifetimeMs <= MAX_LIFETIME_MS) return [];
  const message = `expiresAt is ${expiresAt?.toISOString()}. Use a time in the future, at most ten years away.`;
  return [{ code: 'INVALID_EXPIRY', message, field: ['input', 'expiresAt'] }];
}
