import { AddressRefused } from './guard.js';

/**
 * Whether the peer can have seen a request that failed. `no`: not one byte of it left. `maybe`: everything else, and
 * everything that is not known.
 */
export type Sent = 'no' | 'maybe';

/**
 * An HTTP request that brought no complete answer. `reason` says why in words that can stand inside a sentence and never
 * hold a path, a query, a header or a body.
 */
export class RequestFailed extends Error {
  constructor(
    readonly sent: Sent,
    readonly reason: string,
    options?: { cause?: unknown },
  ) {
    super(`The request failed: ${reason}.`, options);
    this.name = 'RequestFailed';
  }
}

/** The `cause` of a RequestFailed whose answer was longer than the caller wanted. The rest of it was not read. */
export class BodyTooLarge extends Error {
  constructor(readonly maxBytes: number) {
    super(`The answer is longer than ${maxBytes} bytes.`);
    this.name = 'BodyTooLarge';
  }
}

const WORDS = new Map([
  ['ECONNREFUSED', 'the connection was refused'],
  ['ENOTFOUND', 'the host name is not known'],
  ['EAI_AGAIN', 'the host name could not be looked up'],
  ['EHOSTUNREACH', 'the host cannot be reached'],
  ['ENETUNREACH', 'the network cannot be reached'],
  ['ECONNRESET', 'the connection was closed before the answer was complete'],
  ['EPIPE', 'the connection was closed before the answer was complete'],
  ['UND_ERR_SOCKET', 'the connection was closed before the answer was complete'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'the connection was closed before the answer was complete'],
  ['UND_ERR_CONNECT_TIMEOUT', 'no connection could be made in time'],
  ['UND_ERR_CLOSED', 'the HTTP client is closed'],
  ['UND_ERR_DESTROYED', 'the HTTP client is closed'],
]);

/** Words for what went wrong with a request that was given `timeoutMs` milliseconds. */
export function reasonFor(error: unknown, sent: Sent, timeoutMs: number): string {
  if (error instanceof BodyTooLarge) return `the answer is longer than ${error.maxBytes} bytes`;
  if (error instanceof AddressRefused) return error.reason;
  // By its fields: Node's own errors are not always instances of the Error that this module sees.
  const { name = 'no reason given', code = name } = Object(error) as { name?: string; code?: string };
  if (name === 'TimeoutError') return `no complete answer within ${timeoutMs / 1000} s`;
  const words = sent === 'no' && code === 'ECONNRESET' ? undefined : WORDS.get(code);
  return words ?? `${sent === 'no' ? 'no connection could be made' : 'the connection failed'} (${code})`;
}
