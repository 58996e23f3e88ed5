import { Agent, buildConnector, Client, request, type Dispatcher } from 'undici';
import { beforeSend } from './send-tracking.js';
import {
  type DownloadedFile,
  FileWriteFailed,
  type NewFiles,
  readBody,
  readPrefix,
  writeBodyToFile,
} from './body.js';
import { NetworkTimeout } from './network-timeout.js';
import { type OutgoingProxy } from './outgoing-proxy.js';
import { type SsrfGuard, requireHttpUrl, UrlRefused } from './ssrf-guard.js';
import { failureReason, RequestFailed, type SentStatus } from './request-failed.js';
import { decodeLeniently } from '../core/primitives/encoding/utf8.js';
import { parseUrl, USER_AGENT } from '../core/primitives/url.js';

/** For the TCP and TLS handshakes together. undici's own default. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Far more than any JSON response with image links, and too little to exhaust memory. */
const MAX_RESPONSE_BYTES = 10 * 1024 * 1024;
/** An image host may redirect from http to https, to its bare domain and to a bucket. More is a loop. */
const MAX_REDIRECTS = 3;
const REDIRECT_STATUSES: readonly number[] = [301, 302, 303, 307, 308];

export interface HttpClientOptions {
  /** Checks every URL and every connection, including redirects. A refused request counts as not sent. */
  guard?: SsrfGuard;
  /** Opens the connections where a proxy is in the way. Not used with `connect`. */
  proxy?: OutgoingProxy;
  /** Opens the connections when there is no guard. A refused connection counts as not sent. */
  connect?: buildConnector.connector;
}
export interface PostOptions {
  headers?: Record<string, string>;
  /**
   * From the call to the last byte of the response. While the connection is being established, only the connection's own
   * timeout of 10 s applies.
   */
  timeoutMs: number;
  /**
   * Opens a new connection for this request. On a reused one the peer may be closing while the request is written, so a
   * request that was never read looks like one that may have arrived. Costs one TCP and TLS handshake.
   */
  freshConnection?: boolean;
  /**
   * Returns only this much of the response, or what arrived before the connection broke or the timeout expired. Without it
   * the response must be complete, with at most 10 MB.
   */
  maxPrefixBytes?: number;
}
export interface HttpResponse<Body> {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>;
  body: Body;
}

/**
 * The HTTP client of the service. It is the only place that decides whether a failed request was sent: every method returns a
 * complete response, whatever its status, or throws RequestFailed.
 */
export class HttpClient {
  private readonly guard: SsrfGuard | undefined;
  private readonly connect: buildConnector.connector;
  private readonly agent: Agent;
  private readonly dedicatedClients = new Set<Client>();
  private destroyed = false;

  constructor({ guard, connect, proxy }: HttpClientOptions = {}) {
    this.guard = guard;
    this.connect =
      guard?.createConnector(CONNECT_TIMEOUT_MS, proxy) ??
      connect ??
      proxy?.createConnector(CONNECT_TIMEOUT_MS) ??
      buildConnector({ timeout: CONNECT_TIMEOUT_MS });
    this.agent = new Agent({ connect: this.connect });
  }

  /** Posts `body` as JSON, or as it is when it is text, and returns the response as text. Does not follow redirects. */
  async postJson(url: string, body: object | string, options: PostOptions): Promise<HttpResponse<string>> {
    const { headers, timeoutMs, freshConnection, maxPrefixBytes } = options;
    const target = this.checkUrl(url);
    const dedicated = freshConnection ? this.openDedicatedClient(target.origin) : null;
    try {
      const response = await this.exchange(target, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json', accept: 'application/json' },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        timeoutMs,
        signal: AbortSignal.timeout(timeoutMs),
        dispatcher: dedicated ?? this.agent,
        read: (received) =>
          maxPrefixBytes === undefined
            ? readBody(received, MAX_RESPONSE_BYTES)
            : readPrefix(received, maxPrefixBytes),
      });
      return { ...response, body: decodeLeniently(response.body) };
    } finally {
      if (dedicated) this.dedicatedClients.delete(dedicated);
      await dedicated?.destroy();
    }
  }

  /**
   * Downloads at most `maxBytes` into a new file, following up to 3 redirects to http(s) URLs. `timeoutMs` covers all of them,
   * without the time in which the local disk is waited for. Only status 200 creates a file; `body` is null for any other.
   * Throws RequestFailed (with BodyTooLarge as its `cause` above `maxBytes`), or FileWriteFailed when the local disk fails.
   * Leaves no file when it throws.
   */
  async download(
    url: string,
    path: string,
    { timeoutMs, ...limits }: { maxBytes: number; timeoutMs: number; files: NewFiles },
  ): Promise<HttpResponse<DownloadedFile | null>> {
    const read = async (received: Dispatcher.ResponseData) => {
      if (received.statusCode === 200) return writeBodyToFile(received, path, { ...limits, timeout });
      // Reads a short body, so that the connection can be reused, and cuts off a long one.
      await received.body.dump();
      return null;
    };
    let target = this.checkUrl(url);
    let redirects = 0;
    const timeout = new NetworkTimeout(timeoutMs);
    const { signal } = timeout;
    try {
      while (redirects <= MAX_REDIRECTS) {
        const options = { method: 'GET', timeoutMs, signal, dispatcher: this.agent, read } as const;
        const response = await this.exchange(target, options);
        const { location } = response.headers;
        if (!REDIRECT_STATUSES.includes(response.status) || typeof location !== 'string') return response;
        redirects += 1;
        target = this.checkUrl(location, target);
      }
      throw new RequestFailed('maybe', `it was redirected more than ${MAX_REDIRECTS} times`);
    } catch (error) {
      throw redirects > 0 ? afterRedirect(error) : error;
    } finally {
      timeout.stop();
    }
  }

  /** Closes every connection at once. Requests in progress fail as `maybe` sent, and later ones as not sent. */
  async destroy(): Promise<void> {
    this.destroyed = true;
    await Promise.all([this.agent, ...this.dedicatedClients].map((client) => client.destroy()));
  }

  private checkUrl(url: string, base?: URL): URL {
    const text = (base && parseUrl(url, base.href)?.href) ?? url;
    try {
      return this.guard ? this.guard.checkUrl(text) : requireHttpUrl(text);
    } catch (cause) {
      throw new RequestFailed('no', failureReason(cause, 'no', 0), { cause });
    }
  }

  private openDedicatedClient(origin: string): Client {
    if (this.destroyed) throw new RequestFailed('no', 'the HTTP client is closed');
    // With pipelining 0 undici sends "connection: close".
    const client = new Client(origin, { connect: this.connect, pipelining: 0 });
    this.dedicatedClients.add(client);
    return client;
  }

  private async exchange<Body>(
    target: URL,
    { timeoutMs, read, ...options }: ExchangeOptions<Body>,
  ): Promise<HttpResponse<Body>> {
    let sent: SentStatus = 'no';
    const dispatcher = options.dispatcher.compose(
      beforeSend((abort) => {
        // undici does not check the signal while it connects, so the timeout may already have expired.
        if (options.signal.aborted) return abort(options.signal.reason as Error);
        // undici resends a request after some failures of a reused connection. A paid request must be sent only once.
        if (sent === 'maybe' && options.method === 'POST')
          abort(new Error('The request was not sent a second time.'));
        sent = 'maybe';
      }),
    );
    try {
      // The signal is the only timeout. undici's own two would end a long wait early.
      const headers = { accept: '*/*', ...options.headers, 'user-agent': USER_AGENT };
      const timeouts = { headersTimeout: 0, bodyTimeout: 0 };
      const response = await request(target, { ...options, ...timeouts, headers, dispatcher });
      return { status: response.statusCode, headers: response.headers, body: await read(response) };
    } catch (cause) {
      if (cause instanceof FileWriteFailed) throw cause;
      throw new RequestFailed(sent, failureReason(cause, sent, timeoutMs), { cause });
    }
  }
}

/** The error of a download that was redirected. A URL that is refused then is not the one that was asked for. */
function afterRedirect(error: unknown): unknown {
  if (!(error instanceof RequestFailed && error.cause instanceof UrlRefused)) return error;
  const cause = new UrlRefused(error.cause.reason, { mayChange: true });
  return new RequestFailed(error.sent, error.reason, { cause });
}

interface ExchangeOptions<Body> {
  dispatcher: Dispatcher;
  method: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: string;
  signal: AbortSignal;
  timeoutMs: number;
  read: (response: Dispatcher.ResponseData) => Promise<Body>;
}
