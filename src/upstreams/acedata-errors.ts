import { type BackPressure, UpstreamError } from '../core/tasks/upstream-error.js';
import { type TaskFailure } from '../core/tasks/task-failure.js';
import { type HttpResponse } from '../net/http-client.js';
import { type RequestFailed } from '../net/request-failed.js';
import { parseRetryAfter } from '../net/retry-after.js';
import { type WireReply } from './acedata-wire.js';

/** How to handle an error of the upstream. */
interface ErrorRule extends Pick<TaskFailure, 'code' | 'message' | 'retryable'> {
  /** Delays of the automatic retries. None if absent. */
  retryDelaysMs?: readonly number[];
  /** Present if the refusal is about all requests. The task then waits, and has no retry delays of its own. */
  pressure?: BackPressure['kind'];
  /** Whether to include the upstream's message, because it helps the caller. */
  quotesUpstream?: boolean;
}

/**
 * With up to a quarter of jitter, a task that waits for the upstream is sent within 10 s of its return. While it is away, all
 * waiting tasks of an instance together make one request in 3 s, so a longer delay would not relieve it.
 */
const LONGEST_RETRY_DELAY_MS = 7_000;
/** For about 40 s, as a few longer delays would be. While the upstream fails for every task, the last delay repeats. */
const FAILURE_RETRY_DELAYS_MS: readonly number[] = [2_000, ...Array<number>(5).fill(LONGEST_RETRY_DELAY_MS)];
/** Retries are free, so the last delay repeats until the task's deadline. */
const UNREACHABLE_RETRY_DELAYS_MS: readonly number[] = [1_000, 2_000, 4_000, LONGEST_RETRY_DELAY_MS];
/** A longer `Retry-After` would exceed many deadlines, and a refused retry is free. */
const MAX_RETRY_AFTER_MS = 60_000;

const OUT_OF_CREDIT: ErrorRule = {
  code: 'UPSTREAM_OUT_OF_CREDIT',
  message: 'The upstream account is out of credit. Ask the operator to top it up, then retry the task.',
  retryable: true,
  pressure: 'ACCOUNT',
};
const CONTENT_REJECTED: ErrorRule = {
  code: 'CONTENT_REJECTED',
  message: "The upstream's content moderation rejected the request. Change the prompt or the source image.",
  retryable: false,
};
const CREDENTIALS: ErrorRule = {
  code: 'UPSTREAM_CREDENTIALS',
  message: "The upstream rejected Darkroom's API token. Ask the operator to renew it, then retry the task.",
  retryable: true,
  pressure: 'ACCOUNT',
};
const DISABLED: ErrorRule = {
  code: 'UPSTREAM_DISABLED',
  message: "The upstream has disabled Darkroom's access. Ask the operator to enable it, then retry the task.",
  retryable: true,
  pressure: 'ACCOUNT',
};
const BAD_REQUEST: ErrorRule = {
  code: 'UPSTREAM_BAD_REQUEST',
  message:
    'The upstream rejected the request as invalid. Check the model, size and source image, then send a new request.',
  retryable: false,
  quotesUpstream: true,
};
const RATE_LIMITED: ErrorRule = {
  code: 'UPSTREAM_RATE_LIMITED',
  message: 'The upstream is rate limiting requests. Retry the task in a minute.',
  retryable: true,
  pressure: 'RATE',
};
const FAILED: ErrorRule = {
  code: 'UPSTREAM_FAILED',
  message: 'The upstream failed to generate the image. Retry the task.',
  retryable: true,
  retryDelaysMs: FAILURE_RETRY_DELAYS_MS,
};
/** The upstream reported an unknown error or none. Such a generation may have been billed, so nothing invites another one. */
const UNEXPLAINED_FAILURE: ErrorRule = {
  code: 'UPSTREAM_FAILED',
  message:
    'The upstream failed for a reason that Darkroom does not know, so it may bill the request. A new request may be billed a second time.',
  retryable: false,
};

/** The documented codes except `timeout`, which does not tell whether the request was processed. */
const RULES_BY_CODE = new Map<string, ErrorRule>([
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
/** The rules of 4xx without a known code. Null when the request may have arrived, and BAD_REQUEST for the others. */
const RULES_BY_STATUS = new Map<number, ErrorRule | null>([
  [401, CREDENTIALS],
  // Payment required: the upstream's host for pay-per-call refuses what is not paid for with the request.
  [402, OUT_OF_CREDIT],
  [429, RATE_LIMITED],
  // "Request timeout" and "client closed request". Like 504, a gateway returns them when the upstream is too slow.
  [408, null],
  [499, null],
]);

/** `submit` requests images, which is billed. `read` is free. */
export type RequestPurpose = 'submit' | 'read';

/** A response of the upstream. Its `body` is null when it is not a JSON object. An empty one counts as an empty object. */
export type UpstreamResponse = HttpResponse<WireReply | null>;

/**
 * Turns an unsuccessful response into an error. It is `refused` if the upstream says so, with a known code or a 4xx in JSON.
 * Anything else may come from a gateway that has already forwarded the request, so it is `unknown`: HTML, a 5xx without a
 * known code (including a 500 with a plain string), a 2xx that cannot be understood, and every 504.
 */
export function errorFromResponse(response: UpstreamResponse, purpose: RequestPurpose): UpstreamError {
  const { status, headers, body: reply } = response;
  const rule = findRefusalRule(status, reply);
  if (rule === null) return unknownOutcomeError(purpose, describeResponse(status, reply), { reply });
  const { pressure, retryDelaysMs = [] } = rule;
  const retryAfterMs = parseRetryAfter(headers['retry-after'], MAX_RETRY_AFTER_MS);
  const backPressure = pressure ? { kind: pressure, retryAfterMs } : null;
  return new UpstreamError('refused', toFailure(rule, reply), { retryDelaysMs, backPressure });
}

/** Turns a request without a complete response into an error. */
export function errorFromFailedRequest(cause: RequestFailed, purpose: RequestPurpose): UpstreamError {
  if (cause.sent === 'maybe') return unknownOutcomeError(purpose, cause.reason, { cause });
  const message = `The upstream could not be reached: ${cause.reason}. Nothing was sent. Try again later.`;
  const failure = toFailure({ code: 'UPSTREAM_UNREACHABLE', message, retryable: true });
  return new UpstreamError('not-sent', failure, { retryDelaysMs: UNREACHABLE_RETRY_DELAYS_MS, cause });
}

/** The failure of a task that a callback or a read reports. Mapped by the error code alone, because there is no HTTP status. */
export function failureFromResult(reply: WireReply): TaskFailure {
  return toFailure(RULES_BY_CODE.get(reply.error?.code ?? '') ?? UNEXPLAINED_FAILURE, reply);
}

/** Whether a callback or a read reports that the upstream refuses our account. */
export function refusesAccount(reply: WireReply): boolean {
  return RULES_BY_CODE.get(reply.error?.code ?? '')?.pressure === 'ACCOUNT';
}

function findRefusalRule(status: number, reply: WireReply | null): ErrorRule | null {
  if (reply === null || status === 504) return null;
  const code = reply.error?.code ?? null;
  if (code === 'timeout') return null;
  if (code === 'token_mismatched' && status === 401) return CREDENTIALS;
  const rule = code === null ? undefined : RULES_BY_CODE.get(code);
  if (rule) return rule;
  if (status >= 400 && status < 500) {
    const ruleOfStatus = RULES_BY_STATUS.get(status);
    return ruleOfStatus === undefined ? BAD_REQUEST : ruleOfStatus;
  }
  return code !== null && status < 300 ? UNEXPLAINED_FAILURE : null;
}

/** `reason` is a clause. */
function unknownOutcomeError(
  purpose: RequestPurpose,
  reason: string,
  { reply = null, cause }: { reply?: WireReply | null; cause?: unknown },
): UpstreamError {
  const isSubmit = purpose === 'submit';
  const advice = isSubmit
    ? 'The request may have arrived. It is not sent again, because it could be billed twice. ' +
      'A result that still arrives is saved. Send a new request only if none arrives.'
    : 'Reading changes nothing. Try again later.';
  const message = `The upstream returned no usable response: ${reason}. ${advice}`;
  const code = isSubmit ? 'SUBMIT_UNCONFIRMED' : 'UPSTREAM_FAILED';
  const failure = toFailure({ code, message, retryable: !isSubmit }, reply);
  const upstreamTaskId = reply?.task_id ?? null;
  return new UpstreamError('unknown', failure, { retryDelaysMs: [], upstreamTaskId, cause });
}

function describeResponse(status: number, reply: WireReply | null): string {
  if (reply === null) return `status ${status} with a body that is not a JSON object`;
  return reply.error?.code === 'timeout' ? 'it timed out' : `status ${status} without a known error code`;
}

function toFailure(rule: ErrorRule, reply: WireReply | null = null): TaskFailure {
  const { code, message, retryable, quotesUpstream } = rule;
  const quote = quotesUpstream ? sanitizeQuote(reply?.error?.message ?? null) : '';
  const ids = { upstreamCode: reply?.error?.code ?? null, upstreamTraceId: reply?.trace_id ?? null };
  return { code, message: message + quote, retryable, ...ids };
}

/** In UTF-16 units. Enough for a sentence or two. */
const MAX_QUOTE_LENGTH = 200;

/** The upstream's message, shortened and without links and long strings that could be secrets. */
function sanitizeQuote(message: string | null): string {
  const clean = message
    ?.replace(/https?:\S*/gi, '(link)')
    .replace(/[\w.~+/=-]{20,}/g, '(…)')
    .replace(/\s+/g, ' ');
  if (!clean) return '';
  // Without a surrogate pair that the limit has cut in half.
  const short = clean.slice(0, MAX_QUOTE_LENGTH).replace(/\p{Surrogate}/gu, '');
  return ` The upstream says: "${short}${clean.length > MAX_QUOTE_LENGTH ? '…' : ''}"`;
}
