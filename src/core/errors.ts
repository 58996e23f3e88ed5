import { type TaskFailure } from './tasks/task-failure.js';
import { type UserError } from './primitives/user-error.js';

/**
 * Base class of every error that Darkroom raises on purpose. The message says what is wrong and what to do next.
 * `docs/ERRORS.md` lists all codes, and a test compares the two.
 */
export abstract class AppError extends Error {
  /** Stable, in SCREAMING_CASE. Clients may compare it. */
  abstract readonly code: string;
  /** Status of a REST response that reports this error. */
  abstract readonly httpStatus: number;
  /** True for errors that belong to normal operation. They are not logged at level `error`. */
  readonly expected: boolean = true;

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

// --- Startup ---

/** The configuration is unusable. The message lists every problem, and the process exits with code 1. */
export class ConfigInvalid extends AppError {
  static readonly code = 'CONFIG_INVALID';
  readonly code = ConfigInvalid.code;
  readonly httpStatus = 500;
}

// --- Access ---

/**
 * The API key or token is missing, malformed, unknown, revoked or expired. All of these get the same response, so
 * that a caller cannot find out which keys exist.
 */
export class Unauthenticated extends AppError {
  static readonly code = 'UNAUTHENTICATED';
  readonly code = Unauthenticated.code;
  readonly httpStatus = 401;
  constructor(
    message = 'The API key or token is missing or not valid. Send it as "Authorization: Bearer dk_…".',
  ) {
    super(message);
  }
}

/** The API key or token is valid but lacks the scope that the operation needs, or is limited to less. */
export class Forbidden extends AppError {
  static readonly code = 'FORBIDDEN';
  readonly code = Forbidden.code;
  readonly httpStatus = 403;
  constructor(
    readonly scope: string,
    message = `This operation needs the scope "${scope}", which your API key or token does not have. Use one that has it.`,
  ) {
    super(message);
  }
}

/** The token of a signed link is missing, wrong or expired. */
export class LinkInvalid extends AppError {
  static readonly code = 'LINK_INVALID';
  readonly code = LinkInvalid.code;
  readonly httpStatus = 403;
}

/**
 * An identity provider's token cannot be verified, because the provider's keys are not cached and it does not
 * respond.
 */
export class IdentityProviderUnavailable extends AppError {
  static readonly code = 'IDENTITY_PROVIDER_UNAVAILABLE';
  readonly code = IdentityProviderUnavailable.code;
  readonly httpStatus = 503;
  constructor(cause?: unknown) {
    super(
      'The identity provider does not respond, so your token cannot be verified. Try again in a few seconds.',
      { cause },
    );
  }
}

// --- Requests ---

/** The request cannot be understood. Examples are an argument out of range and a body that is not JSON. */
export class BadRequest extends AppError {
  static readonly code = 'BAD_REQUEST';
  readonly code = BadRequest.code;
  readonly httpStatus = 400;
}

/** A mutation's input was rejected as a whole. Nothing was written or sent. Carries every problem that was found. */
export class InputRejected extends AppError {
  static readonly code = 'INPUT_REJECTED';
  readonly code = InputRejected.code;
  readonly httpStatus = 400;
  constructor(readonly errors: readonly UserError[]) {
    super(errors.map((error) => error.message).join(' '));
  }
}

/** A Flux API request names no action, or one that does not exist. */
export class UnknownAction extends AppError {
  static readonly code = 'UNKNOWN_ACTION';
  readonly code = UnknownAction.code;
  readonly httpStatus = 400;
  constructor(action: unknown, actions: readonly string[]) {
    const problem =
      typeof action === 'string'
        ? `Unknown \`action\` "${action.slice(0, 50)}".`
        : '`action` is missing or not a string.';
    super(`${problem} Use one of: ${actions.join(', ')}.`);
  }
}

/** Nothing visible to the caller has this ID. IDs that never existed and IDs of others get the same response. */
export class NotFound extends AppError {
  static readonly code = 'NOT_FOUND';
  readonly code = NotFound.code;
  readonly httpStatus = 404;
}

/** The image was deleted, or the upload link has expired. The URL will never work again. */
export class Gone extends AppError {
  static readonly code = 'GONE';
  readonly code = Gone.code;
  readonly httpStatus = 410;
}

/** The cursor was not issued by this event log. It is truncated, forged, or from another installation or database. */
export class CursorInvalid extends AppError {
  static readonly code = 'CURSOR_INVALID';
  readonly code = CursorInvalid.code;
  readonly httpStatus = 400;
  constructor() {
    super(
      'This cursor does not belong to this event log. Query the current state and subscribe after its `eventCursor`, or leave `after` out to start from now.',
    );
  }
}

/** The cursor is older than subscriptions reach back. Queries still accept it. */
export class CursorExpired extends AppError {
  static readonly code = 'CURSOR_EXPIRED';
  readonly code = CursorExpired.code;
  readonly httpStatus = 410;
  constructor(days: number) {
    super(
      `This cursor is older than the ${days} days that subscriptions reach back. Read on from it with the query \`taskEvents\`, then subscribe after the last cursor.`,
    );
  }
}

// --- Limits ---

/** A connection, or all connections of one API key, have too much open at the same time. */
export class TooManyConnections extends AppError {
  static readonly code = 'TOO_MANY_CONNECTIONS';
  readonly code = TooManyConnections.code;
  readonly httpStatus = 429;
}

/** A limit on requests, generations or connections is used up. Nothing was executed. */
export class RateLimited extends AppError {
  static readonly code = 'RATE_LIMITED';
  readonly code = RateLimited.code;
  readonly httpStatus = 429;
  constructor(
    message: string,
    /** Milliseconds after which a retry makes sense. For in-flight limits this is an estimate. */
    readonly retryAfterMs: number,
  ) {
    super(message);
  }

  get retryAfterSeconds(): number {
    return Math.max(1, Math.ceil(this.retryAfterMs / 1_000));
  }
}

/** A GraphQL document, or its variables, exceed one of the limits that apply on every transport. */
export class QueryTooComplex extends AppError {
  static readonly code = 'QUERY_TOO_COMPLEX';
  readonly code = QueryTooComplex.code;
  readonly httpStatus = 400;
  /** `excess` completes "This operation has …". It names the measured value and the limit. */
  constructor(excess: string) {
    super(`This operation has ${excess}. Request less at a time.`);
  }
}

/** The request body exceeds the limit of its route. */
export class PayloadTooLarge extends AppError {
  static readonly code = 'PAYLOAD_TOO_LARGE';
  readonly code = PayloadTooLarge.code;
  readonly httpStatus = 413;
  constructor(limitBytes: number) {
    super(`The body is larger than ${formatBytes(limitBytes)}, the limit of this route. Send a smaller one.`);
  }
}

function formatBytes(bytes: number): string {
  if (bytes % 1_048_576 === 0) return `${bytes / 1_048_576} MB`;
  return bytes % 1_024 === 0 ? `${bytes / 1_024} kB` : `${bytes} bytes`;
}

// --- Database and image store ---

/** PostgreSQL cannot be reached. Reads and writes fail until it is back. No restart is needed. */
export class DatabaseUnavailable extends AppError {
  static readonly code = 'DATABASE_UNAVAILABLE';
  readonly code = DatabaseUnavailable.code;
  readonly httpStatus = 503;
  override readonly expected = false;
  constructor(cause?: unknown) {
    super(
      'The database is unavailable. Try again in a few seconds. With an idempotency key, a retry creates nothing twice.',
      { cause },
    );
  }
}

/** The database connection was lost while a Flux API request was being written, so it may have been accepted. */
export class WriteUnconfirmed extends AppError {
  static readonly code = 'WRITE_UNCONFIRMED';
  readonly code = WriteUnconfirmed.code;
  readonly httpStatus = 504;
  override readonly expected = false;
  constructor(cause: unknown) {
    super(
      'The database connection was lost, so it is unknown whether the request was accepted. Send it again with the same Idempotency-Key, and nothing is created twice. If it had none, look for the task first.',
      { cause },
    );
  }
}

/** The folder or bucket that stores images is not working. `reason` must not contain secrets, but `cause` may. */
export class StoreUnavailable extends AppError {
  static readonly code = 'STORE_UNAVAILABLE';
  readonly code = StoreUnavailable.code;
  readonly httpStatus = 503;
  override readonly expected = false;
  constructor(
    reason: string,
    { cause, advice = 'Try again in a few seconds.' }: { cause?: unknown; advice?: string } = {},
  ) {
    super(`The image store is unavailable: ${reason}. ${advice}`, { cause });
  }
}

// --- Results and the upstream ---

/** A held request ended without its result. The task was accepted and continues. */
export class ResultNotReady extends AppError {
  static readonly code = 'RESULT_NOT_READY';
  readonly code = ResultNotReady.code;
  readonly httpStatus = 504;
  override readonly expected: boolean;
  constructor(
    readonly taskId: string,
    /** `unread`: the task is settled, but reading its result failed. */
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
export class ImageUnavailable extends AppError {
  static readonly code = 'IMAGE_UNAVAILABLE';
  readonly code = ImageUnavailable.code;
  readonly httpStatus = 502;
  constructor(
    message: string,
    /** Whether another attempt with the same URL can succeed. */
    readonly retryable: boolean,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** The upstream is down, so nothing is submitted. The task stays queued, and its job runs again soon. */
export class UpstreamPaused extends AppError {
  static readonly code = 'UPSTREAM_PAUSED';
  readonly code = UpstreamPaused.code;
  readonly httpStatus = 503;
  constructor() {
    super('The upstream is down. The task stays queued and is submitted when the upstream is back.');
  }
}

/**
 * What is known about a request that failed.
 *
 * - `not-sent`: no byte of it left this process.
 * - `refused`: the upstream answered with its error envelope.
 * - `unknown`: it may have arrived, so the upstream may be making images. It must not be sent again.
 */
export type SubmitOutcome = 'not-sent' | 'refused' | 'unknown';

/**
 * An error of the upstream, mapped to our codes where it occurred. It alone decides whether and when to try again.
 */
export class UpstreamError extends AppError {
  static readonly code = 'UPSTREAM_ERROR';
  readonly code = UpstreamError.code;
  readonly httpStatus = 502;

  constructor(
    message: string,
    readonly outcome: SubmitOutcome,
    readonly failure: TaskFailure,
    private readonly retryDelaysMs: readonly number[],
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }

  /**
   * Milliseconds to wait after attempt number `attempt` (from 1), including up to 25 % of jitter. Null when another
   * attempt is pointless or unsafe.
   */
  retryAfterMs(attempt: number): number | null {
    const delay = this.outcome === 'unknown' ? undefined : this.retryDelaysMs[attempt - 1];
    return delay === undefined ? null : Math.round(delay * (1 + Math.random() / 4));
  }
}
