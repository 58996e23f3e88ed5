import { ProxyFailed } from './outgoing-proxy.js';
import { UrlRefused } from './ssrf-guard.js';

/** Whether the peer may have received a failed request. `no`: not one byte was sent. `maybe`: in all other cases. */
export type SentStatus = 'no' | 'maybe';

/**
 * An HTTP request that got no complete response. `reason` is a clause for use inside a sentence. It never contains a path,
 * query, header or body.
 */
export class RequestFailed extends Error {
  constructor(
    readonly sent: SentStatus,
    readonly reason: string,
    options?: { cause?: unknown },
  ) {
    super(`The request failed: ${reason}.`, options);
    this.name = 'RequestFailed';
  }

  /** Whether the peer, its name server, or the proxy did not answer completely in time. */
  get hasTimedOut(): boolean {
    const cause = this.cause instanceof ProxyFailed ? this.cause.cause : this.cause;
    const { name, code } = Object(cause) as { name?: string; code?: string };
    return name === 'TimeoutError' || code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'EAI_AGAIN';
  }

  /**
   * Whether no connection was established, for a reason that may be on our side: the proxy, the route, the name server, a firewall
   * that drops packets, or this process. A peer that is switched off can look the same. A refused connection, a wrong certificate
   * and a name that does not exist are about the peer.
   */
  get mayBeOurs(): boolean {
    return this.sent === 'no' && (this.cause instanceof ProxyFailed || isOurFailure(this.cause));
  }
}

const OUR_CODES: readonly string[] = [
  ...['ENETUNREACH', 'ENETDOWN', 'EHOSTUNREACH', 'EHOSTDOWN', 'EADDRNOTAVAIL', 'ETIMEDOUT'],
  // What a firewall of this machine answers.
  ...['EPERM', 'EACCES'],
  ...['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'],
  ...['EAI_AGAIN', 'EAI_FAIL', 'EAI_MEMORY'],
  ...['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_CLOSED', 'UND_ERR_DESTROYED'],
];

/** If a host has several addresses, each must have failed in such a way. The code of the whole is that of the first. */
function isOurFailure(error: unknown): boolean {
  const { name, code, errors } = Object(error) as { name?: string; code?: string; errors?: unknown[] };
  if (errors && errors.length > 0) return errors.every(isOurFailure);
  return name === 'TimeoutError' || (code !== undefined && OUR_CODES.includes(code));
}

/** The `cause` of a RequestFailed whose response exceeded the caller's limit. The rest of it was not read. */
export class BodyTooLarge extends Error {
  constructor(readonly maxBytes: number) {
    super(`The response is larger than ${maxBytes} bytes.`);
    this.name = 'BodyTooLarge';
  }
}

const REASONS_BY_CODE = new Map([
  ['ECONNREFUSED', 'the connection was refused'],
  ['ENOTFOUND', 'the host name does not exist'],
  ['EAI_AGAIN', 'the host name could not be resolved'],
  ['EHOSTUNREACH', 'the host is unreachable'],
  ['ENETUNREACH', 'the network is unreachable'],
  ['ECONNRESET', 'the connection was closed before the response was complete'],
  ['EPIPE', 'the connection was closed before the response was complete'],
  ['UND_ERR_SOCKET', 'the connection was closed before the response was complete'],
  ['UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'the connection was closed before the response was complete'],
  ['UND_ERR_CONNECT_TIMEOUT', 'the connection timed out'],
  ['UND_ERR_CLOSED', 'the HTTP client is closed'],
  ['UND_ERR_DESTROYED', 'the HTTP client is closed'],
]);

/** The `reason` of a RequestFailed, for a request with a timeout of `timeoutMs` milliseconds. */
export function failureReason(error: unknown, sent: SentStatus, timeoutMs: number): string {
  if (error instanceof BodyTooLarge) return `the response is larger than ${error.maxBytes} bytes`;
  if (error instanceof UrlRefused || error instanceof ProxyFailed) return error.reason;
  // Read by field: errors from Node are not always instances of this module's Error (in Jest, for example).
  const { name = 'no reason given', code = name } = Object(error) as { name?: string; code?: string };
  if (name === 'TimeoutError') return `no complete response within ${timeoutMs / 1000} s`;
  const reason = sent === 'no' && code === 'ECONNRESET' ? undefined : REASONS_BY_CODE.get(code);
  return (
    reason ?? `${sent === 'no' ? 'no connection could be established' : 'the connection failed'} (${code})`
  );
}
