/**
 * A problem in a mutation's input that the caller can correct. GraphQL returns these as `userErrors`. The Flux API
 * answers with their messages.
 */
export interface UserError {
  code: UserErrorCode;
  message: string;
  /** Path of the argument, such as `['input', 'prompt']`; null when the problem belongs to no single argument. */
  field: string[] | null;
}

export const USER_ERROR_CODES = [
  'INVALID_PROMPT',
  'INVALID_MODEL',
  'INVALID_SIZE',
  'INVALID_COUNT',
  'INVALID_URL',
  'INVALID_SOURCE_IMAGE',
  'INVALID_WEBHOOK_URL',
  'INVALID_TIMEOUT',
  'INVALID_FILE_NAME',
  'INVALID_METADATA',
  'INVALID_IDEMPOTENCY_KEY',
  'IDEMPOTENCY_CONFLICT',
  'PUBLIC_URL_REQUIRED',
  'NOT_FOUND',
  'TASK_NOT_FINISHED',
  'NO_WEBHOOK',
  'INVALID_NAME',
  'INVALID_SCOPES',
  'SCOPE_NOT_HELD',
  'INVALID_EXPIRY',
  'INVALID_GRACE_PERIOD',
  'INVALID_LIMITS',
  'INVALID_END_USER',
  'INVALID_TASK_IDS',
  'INVALID_AMOUNT',
  'INVALID_CURRENCY',
  'BUDGET_EXCEEDED',
  'PRICE_UNKNOWN',
] as const;
export type UserErrorCode = (typeof USER_ERROR_CODES)[number];
