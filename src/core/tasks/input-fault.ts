/** Something the caller can mend in the input of a mutation. `field` is the path in the input. */
export interface InputFault {
  code: InputFaultCode;
  message: string;
  field: string[] | null;
}
export const INPUT_FAULT_CODES = [
  'INVALID_PROMPT',
  'INVALID_MODEL',
  'INVALID_SIZE',
  'INVALID_COUNT',
  'INVALID_URL',
  'INVALID_SOURCE_IMAGE',
  'INVALID_CALLBACK_URL',
  'INVALID_TIMEOUT',
  'INVALID_FILE_NAME',
  'INVALID_METADATA',
  'INVALID_IDEMPOTENCY_KEY',
  'IDEMPOTENCY_CONFLICT',
  'PUBLIC_URL_REQUIRED',
  'NOT_FOUND',
  'TASK_NOT_FINISHED',
  'NO_CALLBACK',
  'INVALID_OVERLAP',
  'INVALID_NAME',
  'INVALID_SCOPES',
  'SCOPE_NOT_HELD',
  'INVALID_EXPIRY',
  'INVALID_GRACE',
  'INVALID_LIMITS',
  'INVALID_END_USER',
  'INVALID_TASK_IDS',
  'INVALID_AMOUNT',
  'INVALID_CURRENCY',
  'BUDGET_EXCEEDED',
  'PRICE_UNKNOWN',
] as const;
export type InputFaultCode = (typeof INPUT_FAULT_CODES)[number];
