import { type UserError, type UserErrorCode } from './primitives/user-error.js';

/**
 * Base class of every error that Darkroom raises on purpose. The message says what is wrong and what to do next.
 * `docs/ERRORS.md` lists all codes, and a test compares the two.
 */
export abstract class AppError extends Error {
  /** Stable, in SCREAMING_SNAKE_CASE. Clients may compare it. */
  abstract readonly code: string;
  /** Status of a REST response that reports this error. */
  abstract readonly httpStatus: number;
  /** True for errors that belong to normal operation. They are not logged. */
  abstract readonly expected: boolean;

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** Returns the base of an error class with this code and status. Both can be read from the class itself, too. */
export function appError<Code extends string>(code: Code, httpStatus: number, { expected = true } = {}) {
  return class extends AppError {
    static readonly code = code;
    static readonly httpStatus = httpStatus;
    readonly code = code;
    readonly httpStatus = httpStatus;
    readonly expected: boolean = expected;
  };
}

// --- Startup ---

/** The configuration is unusable. The message lists every problem, and the process exits with code 1. */
export class ConfigInvalid extends appError('CONFIG_INVALID', 500) {}

// --- Access ---

/** The API key or token is missing, malformed, unknown, revoked or expired. One response for all hides which keys exist. */
export class Unauthenticated extends appError('UNAUTHENTICATED', 401) {
  constructor(
    message = 'The API key or token is missing or not valid. Send it as "Authorization: Bearer dk_…".',
  ) {
    super(message);
  }
}

/** The API key or token is valid but lacks the scope that the operation needs, or is limited to less. */
export class Forbidden extends appError('FORBIDDEN', 403) {
  constructor(
    readonly scope: string,
    message = `This operation needs the scope "${scope}", which your API key or token does not have. Use one that has it.`,
  ) {
    super(message);
  }
}

/** The token of a signed link is missing, wrong or expired. */
export class LinkInvalid extends appError('LINK_INVALID', 403) {}

/** An identity provider's token cannot be verified, because its keys are not cached and it does not respond. */
export class IdentityProviderUnavailable extends appError('IDENTITY_PROVIDER_UNAVAILABLE', 503) {
  constructor(cause?: unknown) {
    super(
      'The identity provider does not respond, so your token cannot be verified. Try again in a few seconds.',
      { cause },
    );
  }
}

// --- Requests ---

/** The request cannot be understood. Examples are an argument out of range and a body that is not JSON. */
export class BadRequest extends appError('BAD_REQUEST', 400) {}

/** A mutation's input was rejected as a whole. Nothing was written or sent. Carries every problem that was found. */
export class InputRejected extends appError('INPUT_REJECTED', 400) {
  constructor(readonly errors: readonly UserError[]) {
    super(errors.map((error) => error.message).join(' '));
  }

  /** A rejection because of one argument of the input. */
  static argument(code: UserErrorCode, argument: string, message: string): InputRejected {
    return new InputRejected([{ code, message, field: ['input', argument] }]);
  }
}

/** A Flux API request names no action, or one that does not exist. */
export class UnknownAction extends appError('UNKNOWN_ACTION', 400) {
  constructor(action: unknown, actions: readonly string[]) {
    const problem =
      typeof action === 'string'
        ? `Unknown \`action\` "${action.slice(0, 50)}".`
        : '`action` is missing or not a string.';
    super(`${problem} Use one of: ${actions.join(', ')}.`);
  }
}

/** Nothing visible to the caller has this ID. IDs that never existed and IDs of others get the same response. */
export class NotFound extends appError('NOT_FOUND', 404) {}

/** The image was deleted, or the upload link has expired. The URL will never work again. */
export class Gone extends appError('GONE', 410) {}

/** The cursor was not issued by this event log. It is truncated, forged, or from another installation or database. */
export class CursorInvalid extends appError('CURSOR_INVALID', 400) {
  constructor() {
    super(
      'This cursor does not belong to this event log. Query the current state and subscribe after its `eventCursor`, or leave `after` out to start from now.',
    );
  }
}

/** The cursor exceeds the maximum age for subscriptions. Queries still accept it. */
export class CursorExpired extends appError('CURSOR_EXPIRED', 410) {
  constructor(days: number) {
    super(
      `This cursor is older than ${days} days, the maximum for a subscription. Read the missed events with the query \`taskEvents\`, then subscribe after its last cursor.`,
    );
  }
}

// --- Limits ---

/** A limit on open connections, on the operations of one WebSocket or on uploads in progress is reached. */
export class TooManyConnections extends appError('TOO_MANY_CONNECTIONS', 429) {}

/**
 * A limit on requests, generations, tasks in flight, usage reports, introspection or new documents is used up. Nothing was
 * executed.
 */
export class RateLimited extends appError('RATE_LIMITED', 429) {
  constructor(
    message: string,
    /** Milliseconds after which a retry makes sense. For in-flight limits this is an estimate. */
    readonly retryAfterMs: number,
  ) {
    super(message);
  }
}

/** A GraphQL document, or its variables, exceed one of the limits that apply on every transport. */
export class QueryTooComplex extends appError('QUERY_TOO_COMPLEX', 400) {
  /** `excess` completes "This operation has …". It names the measured value and the limit. */
  constructor(excess: string) {
    super(`This operation has ${excess}. Request less at a time.`);
  }
}

/** The request body exceeds the limit of its route, or takes too much to read. */
export class PayloadTooLarge extends appError('PAYLOAD_TOO_LARGE', 413) {
  /** `message` is for a body that does not exceed `bytes` itself. */
  constructor(bytes: number, message?: string) {
    const [divisor, unit] = bytes % 1_048_576 === 0 ? [1_048_576, 'MB'] : [1_024, 'kB'];
    const limit = bytes % divisor === 0 ? `${bytes / divisor} ${unit}` : `${bytes} bytes`;
    super(message ?? `The body is larger than ${limit}, the limit of this route. Send a smaller one.`);
  }
}

// --- Database and image store ---

/** PostgreSQL cannot be reached. Reads and writes fail until it is back. No restart is needed. */
export class DatabaseUnavailable extends appError('DATABASE_UNAVAILABLE', 503, { expected: false }) {
  constructor(cause?: unknown) {
    super(
      'The database is unavailable. Try again in a few seconds. With an idempotency key, a retry creates nothing twice.',
      { cause },
    );
  }
}

/** An outage, or an unexpected error, ended a write that may have been made. */
export class WriteUnconfirmed extends appError('WRITE_UNCONFIRMED', 504, { expected: false }) {
  /** `advice` says how to find out, or how to send the request again safely. */
  constructor(
    cause: unknown,
    advice = 'Read what it changes first, such as `apiKeys`, `webhookSecret`, `budgets` or `auditLog`. Send it again only if nothing has changed.',
  ) {
    super(
      `An error occurred while the request was written, so it is unknown whether it took effect. ${advice}`,
      {
        cause,
      },
    );
  }
}

/** A usage report was given up, because it sums every task of its period and took too long. */
export class ReportTimedOut extends appError('REPORT_TIMED_OUT', 504) {
  constructor(timeoutMs: number, cause: unknown) {
    super(
      `The usage report was not finished within ${timeoutMs / 1_000} s, so it was canceled. Request a shorter period, such as one month or one day at a time.`,
      { cause },
    );
  }
}

/** The folder or bucket that stores images is not working. `reason` must not contain secrets, but `cause` may. */
export class StoreUnavailable extends appError('STORE_UNAVAILABLE', 503, { expected: false }) {
  constructor(
    reason: string,
    { cause, advice = 'Try again in a few seconds.' }: { cause?: unknown; advice?: string } = {},
  ) {
    super(`The image store is unavailable: ${reason}. ${advice}`, { cause });
  }
}

// --- Results and the upstream ---

/** An upstream callback could not be applied, because of an error that is no outage, and there is no room to keep it. */
export class CallbackNotKept extends appError('CALLBACK_NOT_KEPT', 503, { expected: false }) {
  constructor(cause: unknown) {
    super('The callback could not be applied, and it could not be kept for later. Send it again.', { cause });
  }
}

/** A held request ended without its result. The task was accepted and continues. */
export class ResultNotReady extends appError('RESULT_NOT_READY', 504) {
  override readonly expected: boolean;
  constructor(
    readonly taskId: string,
    /** `unread`: waiting for the result, or reading it, failed. */
    readonly reason: 'timed-out' | 'going-away' | 'api-key-revoked' | 'unread',
    options?: { cause?: unknown },
  ) {
    super(
      'The task was accepted, but its result is not ready. Read it from /flux/tasks with this task_id. Sending the request again creates new images, which may be billed.',
      options,
    );
    this.expected = reason !== 'unread';
  }
}

/** An image could not be downloaded or decoded. */
export class ImageUnavailable extends appError('IMAGE_UNAVAILABLE', 502) {
  /** Whether another attempt with the same URL can succeed. */
  readonly retryable: boolean;
  constructor(message: string, { retryable, cause }: { retryable: boolean; cause?: unknown }) {
    super(message, { cause });
    this.retryable = retryable;
  }
}

/** The upstream is down, so nothing is submitted. The task stays queued, and its job runs again soon. */
export class UpstreamPaused extends appError('UPSTREAM_PAUSED', 503) {
  constructor() {
    super('The upstream is down. The task stays queued and is submitted when the upstream is back.');
  }
}
