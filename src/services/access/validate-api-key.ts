import { type Caller, isScope, type Scope, SCOPES } from '../../core/access/caller.js';
import { type InputFault } from '../../core/tasks/input-fault.js';

const MAX_NAME_LENGTH = 100;
/** Further away than anybody plans; a typing error in the year otherwise lives for centuries. */
const MAX_LIFETIME_MS = 10 * 366 * 24 * 3_600 * 1_000;

/** What is wrong with a name that people are to read. */
export function nameFaults(name: string): InputFault[] {
  if (name.trim() !== '' && name.length <= MAX_NAME_LENGTH && !name.includes('\0')) return [];
  const message = `The name must have 1 to ${MAX_NAME_LENGTH} characters and no NUL.`;
  return [{ code: 'INVALID_NAME', message, field: ['input', 'name'] }];
}

/** What is wrong with scopes that the caller wants to give: nobody gives what they do not have. */
export function scopeFaults(
  { scopes: held }: Pick<Caller, 'scopes'>,
  wanted: readonly string[],
  allowed: readonly Scope[] = SCOPES,
): InputFault[] {
  const field = ['input', 'scopes'];
  const possible = `There are: ${allowed.join(', ')}.`;
  if (wanted.length === 0) {
    return [{ code: 'INVALID_SCOPES', message: `Give at least one scope. ${possible}`, field }];
  }
  return [...new Set(wanted)].flatMap((scope): InputFault[] => {
    if (!isScope(scope) || !allowed.includes(scope)) {
      const message = `"${scope.slice(0, 50)}" is no scope that can be given here. ${possible}`;
      return [{ code: 'INVALID_SCOPES', message, field }];
    }
    if (held.includes(scope)) return [];
    const message = `Your key does not have the scope "${scope}", so it cannot give it.`;
    return [{ code: 'SCOPE_NOT_HELD', message, field }];
  });
}

/** What is wrong with the end of a key's life. */
export function expiryFaults(expiresAt: Date | null): InputFault[] {
  const fromNow = expiresAt ? expiresAt.getTime() - Date.now() : 1;
  if (fromNow > 0 && fromNow <= MAX_LIFETIME_MS) return [];
  const message = 'expiresAt must lie in the future, ten years from now at most.';
  return [{ code: 'INVALID_EXPIRY', message, field: ['input', 'expiresAt'] }];
}
