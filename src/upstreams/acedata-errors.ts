import { UpstreamError } from '../core/errors.js';
import { type TaskErrorCode, type TaskFailure } from '../core/tasks/task-failure.js';
import { type RequestFailed } from '../net/request-failed.js';
import { parseRetryAfter } from '../net/retry-after.js';
import { type WireError, type WireReply } from './acedata-wire.js';

/** What an error of the upstream means to us. `delaysMs`: when to send again by ourselves, if ever. */
interface Row {
  code: TaskErrorCode;
  message: string;
  retryable: boolean;
  delaysMs: readonly number[];
  /** Whether the upstream's own words help the one who asked. */
  quotes?: boolean;
}

const NEVER: readonly number[] = [];
/** The provider's advice for 429. */
const RATE_LIMIT_DELAYS_MS: readonly number[] = [1_000, 2_000, 4_000, 8_000, 16_000];
/** The provider says "few times". */
const FAILED_DELAYS_MS: readonly number[] = [2_000, 8_000];
/** Twenty tries over about eight minutes cost nothing; the task's deadline ends them earlier when it is shorter. */
const UNREACHABLE_DELAYS_MS: readonly number[] = [...RATE_LIMIT_DELAYS_MS, ...Array<number>(15).fill(30_000)];
/** A longer `Retry-After` would outlast many a deadline, and asking once more costs nothing. */
const MAX_RETRY_AFTER_MS = 60_000;

const OUT_OF_CREDIT: Row = {
  code: 'UPSTREAM_OUT_OF_CREDIT',
  message: "The upstream's balance is used up. Ask the operator to top it up, then retry the task.",
  retryable: true,
  delaysMs: NEVER,
};
const CONTENT_REJECTED: Row = {
  code: 'CONTENT_REJECTED',
  message: "The upstream's moderation rejected the content. Change the prompt or the source picture.",
  retryable: false,
  delaysMs: NEVER,
};
const CREDENTIALS: Row = {
  code: 'UPSTREAM_CREDENTIALS',
  message: 'The upstream does not accept our token. Ask the operator to renew it, then retry the task.',
  retryable: true,
  delaysMs: NEVER,
};
const DISABLED: Row = {
  code: 'UPSTREAM_DISABLED',
  message:
    'The application is switched off at the upstream. Ask the operator to switch it on, then retry the task.',
  retryable: true,
  delaysMs: NEVER,
};
const BAD_REQUEST: Row = {
  code: 'UPSTREAM_BAD_REQUEST',
  message: 'The upstream does not accept this request. Check model, size and source picture, then ask again.',
  retryable: false,
  delaysMs: NEVER,
  quotes: true,
};
const RATE_LIMITED: Row = {
  code: 'UPSTREAM_RATE_LIMITED',
  message: 'The upstream takes no more requests at the moment. Retry the task in a minute.',
  retryable: true,
  delaysMs: RATE_LIMIT_DELAYS_MS,
};
const FAILED: Row = {
  code: 'UPSTREAM_FAILED',
  message: 'The upstream could not make the picture. Retry the task.',
  retryable: true,
  delaysMs: FAILED_DELAYS_MS,
};
/** The upstream ended the task with an error that we do not know, or with nothing: nobody promised that it is free. */
const ENDED: Row = { ...FAILED, delaysMs: NEVER };

/** The documented codes. `timeout` is not here: in a reply it does not say what happened. */
const BY_CODE = new Map<string, Row>([
  ['forbidden', CONTENT_REJECTED],
  ['used_up', OUT_OF_CREDIT],
  ['invalid_token', CREDENTIALS],
  ['token_expired', CREDENTIALS],
  ['no_token', CREDENTIALS],
  ['disabled', DISABLED],
  ['bad_request', BAD_REQUEST],
  ['token_mismatched', BAD_REQUEST],
  ['api_not_implemented', BAD_REQUEST],
  ['no_api', BAD_REQUEST],
  ['too_many_requests', RATE_LIMITED],
  ['api_error', FAILED],
]);
const BY_STATUS = new Map<number, Row>([
  [401, CREDENTIALS],
  [429, RATE_LIMITED],
]);
/** "Request timeout" and "client closed request": a gateway's words for having lost patience, like 504. */
const IMPATIENT: readonly number[] = [408, 499];

/** What the request was for: making a picture, which is billed, or reading, which is free. */
export type Purpose = 'submit' | 'read';

/** An answer that is not what was asked for: its status, its headers and, if it was JSON, what it says. */
export interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  /** Null when the body is not a JSON object. An empty body is an empty object: it contradicts nothing. */
  says: WireReply | null;
}

/**
 * What an answer that is no success means. A refusal when the upstream says so: by a code that we know, or by a 4xx in
 * JSON. Everything else could have come from a gateway with the request already behind it, so it is `unknown`: HTML, a
 * 5xx without a known code (also a 500 with a bare string), a 2xx that cannot be understood, and every 504.
 */
export function errorInAnswer({ status, headers, says }: Answer, purpose: Purpose): UpstreamError {
  const row = refusal(status, says);
  if (says === null || row === null) {
    return noAnswer(purpose, describe(status, says), says);
  }
  const failure = failureBy(row, says.error, says.traceId);
  const waitMs = row === RATE_LIMITED ? parseRetryAfter(headers['retry-after'], MAX_RETRY_AFTER_MS) : null;
  const delaysMs = waitMs === null ? row.delaysMs : row.delaysMs.map(() => waitMs);
  return new UpstreamError(failure.message, 'refused', failure, delaysMs);
}

/** A request that got no complete answer. */
export function errorWithoutAnswer(cause: RequestFailed, purpose: Purpose): UpstreamError {
  if (cause.sent === 'maybe') return noAnswer(purpose, cause.reason, null, cause);
  const message = `The upstream could not be reached: ${cause.reason}. Nothing was sent; try again later.`;
  const failure = unanswered('UPSTREAM_UNREACHABLE', message, true, null);
  return new UpstreamError(message, 'not-sent', failure, UNREACHABLE_DELAYS_MS, { cause });
}

/** How a task ended that a callback or a read task calls failed. Mapped by the code alone: there is no status. */
export function failureInResult(error: WireError | null, traceId: string | null): TaskFailure {
  return failureBy(BY_CODE.get(error?.code ?? '') ?? ENDED, error, traceId);
}

function refusal(status: number, says: WireReply | null): Row | null {
  if (says === null || status === 504) return null;
  const code = says.error?.code ?? null;
  if (code === 'timeout') return null;
  if (code === 'token_mismatched' && status === 401) return CREDENTIALS;
  const row = code === null ? undefined : BY_CODE.get(code);
  if (row) return row;
  if (status >= 400 && status < 500) {
    return IMPATIENT.includes(status) ? null : (BY_STATUS.get(status) ?? BAD_REQUEST);
  }
  return code !== null && status < 300 ? ENDED : null;
}

function noAnswer(purpose: Purpose, what: string, says: WireReply | null, cause?: unknown): UpstreamError {
  const isSubmit = purpose === 'submit';
  const next = isSubmit
    ? 'The request may have arrived, so it is not sent again: a second picture would be billed. ' +
      'A result that still comes is kept; ask again only if none does.'
    : 'Reading changes nothing; try again later.';
  const message = `The upstream gave no usable answer: ${what}. ${next}`;
  const failure = unanswered(isSubmit ? 'SUBMIT_UNCONFIRMED' : 'UPSTREAM_FAILED', message, !isSubmit, says);
  return new UpstreamError(message, 'unknown', failure, NEVER, { cause });
}

function describe(status: number, says: WireReply | null): string {
  if (says === null) return `status ${status} with a body that is not a JSON object`;
  return says.error?.code === 'timeout'
    ? 'it gave up waiting'
    : `status ${status} without an error code we know`;
}

function unanswered(
  code: TaskErrorCode,
  message: string,
  retryable: boolean,
  says: WireReply | null,
): TaskFailure {
  const upstreamCode = says?.error?.code ?? null;
  return { code, message, retryable, upstreamCode, upstreamTraceId: says?.traceId ?? null };
}

function failureBy(row: Row, error: WireError | null, upstreamTraceId: string | null): TaskFailure {
  const { code, retryable } = row;
  const quote = row.quotes ? quotable(error?.message ?? null) : '';
  return {
    code,
    message: row.message + quote,
    retryable,
    upstreamCode: error?.code ?? null,
    upstreamTraceId,
  };
}

/** The upstream's words, short, and without what it may have echoed: links, and long runs that could be secrets. */
function quotable(words: string | null): string {
  const clean = words
    ?.replace(/https?:\S*/gi, '(link)')
    .replace(/[\w.~+/=-]{20,}/g, '(…)')
    .replace(/\s+/g, ' ')
    .slice(0, 200)
    // Half of a character that was cut.
    .replace(/\p{Surrogate}/gu, '');
  return clean ? ` The upstream says: "${clean}"` : '';
}
