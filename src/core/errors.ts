import { type InputFault } from './tasks/input-fault.js';
import { type TaskFailure } from './tasks/task-failure.js';

/**
 * The one family of errors. A class has a stable `code` (docs/ERRORS.md lists them all; a test compares the two), a
 * message that says what happened and what to do next, and says whether it is `expected`: part of normal operation and
 * not worth a log line at level error.
 */
export abstract class AppError extends Error {
  /** Stable, SCREAMING_CASE; what a program may compare. */
  abstract readonly code: string;
  /** The HTTP status a REST door answers with. */
  abstract readonly httpStatus: number;
  readonly expected: boolean = true;

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The environment cannot be used as it is. The message lists every fault. The process ends with exit code 1. */
export class ConfigInvalid extends AppError {
  static readonly code = 'CONFIG_INVALID';
  readonly code = ConfigInvalid.code;
  readonly httpStatus = 500;
}

/** No key, a malformed key, or one that is unknown, revoked or expired: the answer is the same for all of them. */
export class Unauthenticated extends AppError {
  static readonly code = 'UNAUTHENTICATED';
  readonly code = Unauthenticated.code;
  readonly httpStatus = 401;
  constructor(message = 'Send your API key as "Authorization: Bearer dk_…".') {
    super(message);
  }
}

/** The key or token is good, but not for this: it lacks a scope that the operation needs, or is bound to less. */
export class Forbidden extends AppError {
  static readonly code = 'FORBIDDEN';
  readonly code = Forbidden.code;
  readonly httpStatus = 403;
  constructor(
    readonly scope: string,
    message = `This needs the scope "${scope}", which your key does not have.`,
  ) {
    super(message);
  }
}

/** A request that cannot be understood: an argument out of range, a cursor that is not ours, a body that is not JSON. */
export class BadRequest extends AppError {
  static readonly code = 'BAD_REQUEST';
  readonly code = BadRequest.code;
  readonly httpStatus = 400;
}

/** A cursor of the event log that was not made here: cut, forged, of another installation, or ahead of this database. */
export class CursorInvalid extends AppError {
  static readonly code = 'CURSOR_INVALID';
  readonly code = CursorInvalid.code;
  readonly httpStatus = 400;
  constructor() {
    super(
      'This cursor is not of this event log. Read the state anew with a query and subscribe after its cursor; without `after` a subscription starts from now.',
    );
  }
}

/** A cursor of ours from so long ago that subscriptions do not go back to it. Queries still do. */
export class CursorExpired extends AppError {
  static readonly code = 'CURSOR_EXPIRED';
  readonly code = CursorExpired.code;
  readonly httpStatus = 410;
  constructor(days: number) {
    super(
      `This cursor is older than the ${days} days that subscriptions go back. Read on from it with the query taskEvents and subscribe after its last cursor.`,
    );
  }
}

/** A limit on what one connection, or all connections with one key, may have open at the same time. */
export class TooManyWatchers extends AppError {
  static readonly code = 'TOO_MANY_WATCHERS';
  readonly code = TooManyWatchers.code;
  readonly httpStatus = 429;
}

/** One of the limits on requests, generations or connections is used up. Nothing was run. */
export class RateLimited extends AppError {
  static readonly code = 'RATE_LIMITED';
  readonly code = RateLimited.code;
  readonly httpStatus = 429;
  constructor(
    message: string,
    /** When it is worth trying again; for what is in flight a guess, as nobody knows when it ends. */
    readonly retryAfterMs: number,
  ) {
    super(message);
  }

  get retryAfterSeconds(): number {
    return Math.max(1, Math.ceil(this.retryAfterMs / 1_000));
  }
}

/** A GraphQL document, or its variables, over one of the limits that hold on every transport. */
export class QueryTooComplex extends AppError {
  static readonly code = 'QUERY_TOO_COMPLEX';
  readonly code = QueryTooComplex.code;
  readonly httpStatus = 400;
  /** `excess` such as "17 levels of fields; 15 are allowed". */
  constructor(excess: string) {
    super(`This operation has ${excess}. Ask for less at a time.`);
  }
}

/** A body over the limit of its route. */
export class PayloadTooLarge extends AppError {
  static readonly code = 'PAYLOAD_TOO_LARGE';
  readonly code = PayloadTooLarge.code;
  readonly httpStatus = 413;
  constructor(limit: string) {
    super(`The body is larger than ${limit}, the limit of this route. Send less.`);
  }
}

/** Nothing by this id that the caller may see. The same for ids that never existed and for those of others. */
export class NotFound extends AppError {
  static readonly code = 'NOT_FOUND';
  readonly code = NotFound.code;
  readonly httpStatus = 404;
}

/** A picture that was deleted: its address will never give it again. */
export class Gone extends AppError {
  static readonly code = 'GONE';
  readonly code = Gone.code;
  readonly httpStatus = 410;
}

/** A link of ours whose token is missing, wrong or past its time. */
export class LinkRefused extends AppError {
  static readonly code = 'LINK_REFUSED';
  readonly code = LinkRefused.code;
  readonly httpStatus = 403;
}

/** The folder or the bucket of pictures does not do its work at the moment. The reason names no secret; the cause may. */
export class StoreUnavailable extends AppError {
  static readonly code = 'STORE_UNAVAILABLE';
  readonly code = StoreUnavailable.code;
  readonly httpStatus = 503;
  override readonly expected = false;
  constructor(reason: string, options?: { cause?: unknown }) {
    super(`The picture store cannot be used at the moment: ${reason}. Try again in a few seconds.`, options);
  }
}

/** A Flux API request whose `action` is missing or none that there is. */
export class UnknownAction extends AppError {
  static readonly code = 'UNKNOWN_ACTION';
  readonly code = UnknownAction.code;
  readonly httpStatus = 400;
  constructor(actions: readonly string[]) {
    super(`There is no such action. \`action\` is one of: ${actions.join(', ')}.`);
  }
}

/** A request was held for its pictures and is answered without them. The task was taken and goes on. */
export class WaitEnded extends AppError {
  static readonly code = 'WAIT_ENDED';
  readonly code = WaitEnded.code;
  readonly httpStatus = 504;
  override readonly expected: boolean;
  constructor(
    readonly taskId: string,
    readonly reason: 'timed-out' | 'going-away' | 'key-revoked' | 'unread',
    options?: { cause?: unknown },
  ) {
    super(
      `The task was taken, and its result is not here yet: read it from /flux/tasks with this task_id. Asking again makes, and may bill, new pictures.`,
      options,
    );
    this.expected = reason !== 'unread';
  }
}

/** PostgreSQL went away while a Flux API request was being written: it may have been taken. */
export class WriteUnconfirmed extends AppError {
  static readonly code = 'WRITE_UNCONFIRMED';
  readonly code = WriteUnconfirmed.code;
  readonly httpStatus = 504;
  override readonly expected = false;
  constructor(cause: unknown) {
    super(
      'The database went away, and it is unknown whether the request was taken. Send it again with the same Idempotency-Key and nothing is made twice; without one, look for the task first.',
      { cause },
    );
  }
}

/** A mutation's input was refused as a whole: nothing was written and nothing was sent. Carries every fault found. */
export class InputRejected extends AppError {
  static readonly code = 'INPUT_REJECTED';
  readonly code = InputRejected.code;
  readonly httpStatus = 400;
  constructor(readonly faults: readonly InputFault[]) {
    super(faults.map((fault) => fault.message).join(' '));
  }
}

/** Postgres cannot be reached. Reads and writes fail until it is back; nothing needs to be restarted. */
export class DatabaseUnavailable extends AppError {
  static readonly code = 'DATABASE_UNAVAILABLE';
  readonly code = DatabaseUnavailable.code;
  readonly httpStatus = 503;
  override readonly expected = false;
  constructor(cause?: unknown) {
    super(
      'The database cannot be reached at the moment. Try again in a few seconds; with an idempotency key nothing is made twice.',
      {
        cause,
      },
    );
  }
}

/** A token of the identity provider cannot be checked: its keys are not known, and it does not answer. */
export class IdentityProviderUnavailable extends AppError {
  static readonly code = 'IDENTITY_PROVIDER_UNAVAILABLE';
  readonly code = IdentityProviderUnavailable.code;
  readonly httpStatus = 503;
  constructor(cause?: unknown) {
    super(
      'Who you are cannot be checked at the moment: the identity provider does not answer. Try again in a few seconds.',
      {
        cause,
      },
    );
  }
}

/** The upstream is down and submitting rests; the task stays queued and its job is run again soon. */
export class UpstreamPaused extends AppError {
  static readonly code = 'UPSTREAM_PAUSED';
  readonly code = UpstreamPaused.code;
  readonly httpStatus = 503;
  constructor() {
    super('The upstream is down at the moment. The task stays queued and is sent when it is back.');
  }
}

/** A picture could not be fetched or decoded. `retryable` tells whether trying the same link again can help. */
export class PictureUnavailable extends AppError {
  static readonly code = 'PICTURE_UNAVAILABLE';
  readonly code = PictureUnavailable.code;
  readonly httpStatus = 502;
  constructor(
    message: string,
    readonly retryable: boolean,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/**
 * What is known about a request that failed.
 * `not-sent`: no byte of it left. `refused`: the upstream answered with its error envelope. `unknown`: it may have
 * arrived, so a picture may be in the making; it must not be sent again.
 */
export type SubmitOutcome = 'not-sent' | 'refused' | 'unknown';

/**
 * The upstream's error, mapped into our words where it happened. It alone decides whether and when to try again:
 * `retryAfterMs(attempt)` is null when trying again is pointless or unsafe.
 */
export class UpstreamError extends AppError {
  static readonly code = 'UPSTREAM_ERROR';
  readonly code = UpstreamError.code;
  readonly httpStatus = 502;

  constructor(
    message: string,
    readonly outcome: SubmitOutcome,
    readonly failure: TaskFailure,
    private readonly delaysMs: readonly number[],
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }

  /** Milliseconds until attempt number `attempt + 1`, with up to a quarter of jitter, or null: do not send again. */
  retryAfterMs(attempt: number): number | null {
    const delay = this.outcome === 'unknown' ? undefined : this.delaysMs[attempt - 1];
    return delay === undefined ? null : Math.round(delay * (1 + Math.random() / 4));
  }
}
