import { type Caller } from '../../core/access/caller.js';
import { InputRejected } from '../../core/errors.js';
import { type UserError } from '../../core/primitives/user-error.js';

/** Long enough for any ID that a workspace gives to its own users. */
export const MAX_END_USER_ID_LENGTH = 255;

export function isEndUserId(text: string): boolean {
  // PostgreSQL cannot store NUL in a text.
  return text !== '' && text.length <= MAX_END_USER_ID_LENGTH && !text.includes('\0');
}

/** Problems with the ID that a workspace gave for an end user. Empty when the ID is absent or valid. */
export function endUserErrors(endUserId: string | null | undefined): UserError[] {
  if (endUserId == null || isEndUserId(endUserId)) return [];
  const message = `endUserId must have 1 to ${MAX_END_USER_ID_LENGTH} characters and no NUL character.`;
  return [{ code: 'INVALID_END_USER', message, field: ['input', 'endUserId'] }];
}

/** The end user that a request is for. Throws InputRejected when the caller is bound to another end user. */
export function resolveEndUser(caller: Caller, requestedId: string | null | undefined): string | null {
  const endUserId = requestedId ?? caller.endUserId;
  if (caller.endUserId === null || endUserId === caller.endUserId) return endUserId;
  const message = 'Your token belongs to another end user. Leave endUserId out.';
  throw new InputRejected([{ code: 'INVALID_END_USER', message, field: ['input', 'endUserId'] }]);
}
