import { Agent, buildConnector, Client, request, type Dispatcher } from 'undici';
import { BodyTooLarge, reasonFor, RequestFailed, type Sent } from './request-failed.js';

/** undici's own default; a connection that takes longer is not worth waiting for. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Far above any answer that holds links, far below what would hurt: nothing that we post to answers with pictures. */
const MAX_REPLY_BYTES = 10 * 1024 * 1024;
/** A picture host may move from http to https, to its bare name and to a bucket; more is a loop. */
const MAX_REDIRECTS = 3;
const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];

export interface HttpClientOptions {
  /** How long TCP and TLS together may take. Default 10 s. */
  connectTimeoutMs?: number;
  /** Opens every connection, also the ones after a redirect: the place for a guard. What it refuses counts as not sent. */
  connect?: buildConnector.connector;
}
export interface PostOptions {
  headers?: Record<string, string>;
  /** From the call to the last byte of the answer. Noticed when the connection is there: until then its own limit holds. */
  timeoutMs: number;
  /**
   * Open a connection for this request alone. On a reused one the peer may be closing while we write, and a request
   * that nobody read then looks like one that may have arrived. Costs one TCP and TLS handshake.
   */
  freshConnection?: boolean;
}
export interface GetOptions {
  maxBytes: number;
  /** For the whole exchange, redirects included. */
  timeoutMs: number;
}
export interface Reply<Body> {
  status: number;
  /** Names in lower case. */
  headers: Record<string, string | string[] | undefined>;
  body: Body;
}

/**
 * Speaks HTTP with one peer. The only place that decides whether a failed request had left: every method answers with a
 * complete reply, whatever its status, or throws RequestFailed.
 */
export class HttpClient {
  private readonly connect: buildConnector.connector;
  private readonly agent: Agent;
  private readonly ownClients = new Set<Client>();
  private closed = false;

  constructor(options: HttpClientOptions = {}) {
    this.connect =
      options.connect ?? buildConnector({ timeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS });
    this.agent = new Agent({ connect: this.connect });
  }

  /** Posts `body` as JSON and returns the answer as text. Follows no redirect. The answer may have 10 MB. */
  async postJson(url: string, body: unknown, options: PostOptions): Promise<Reply<string>> {
    const target = parseUrl(url);
    const own = options.freshConnection ? this.openOwn(target.origin) : null;
    try {
      const reply = await this.exchange(own ?? this.agent, target, {
        method: 'POST',
        headers: { ...options.headers, 'content-type': 'application/json', accept: 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(options.timeoutMs),
        timeoutMs: options.timeoutMs,
        maxBytes: MAX_REPLY_BYTES,
      });
      return { ...reply, body: reply.body.toString('utf8') };
    } finally {
      if (own) await this.dropOwn(own);
    }
  }

  /** Fetches at most `maxBytes`, following up to 3 redirects to http(s) addresses. `cause` is BodyTooLarge when over. */
  async get(url: string, options: GetOptions): Promise<Reply<Buffer>> {
    const exchange = { ...options, method: 'GET', signal: AbortSignal.timeout(options.timeoutMs) } as const;
    let target = parseUrl(url);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
      const reply = await this.exchange(this.agent, target, exchange);
      const { location } = reply.headers;
      if (!REDIRECTS.includes(reply.status) || typeof location !== 'string') return reply;
      target = parseUrl(location, target);
    }
    throw new RequestFailed('maybe', `it was redirected more than ${MAX_REDIRECTS} times`);
  }

  /** Waits for the requests under way, then closes every connection. What is asked afterwards fails as not sent. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await Promise.all([this.agent, ...this.ownClients].map((client) => client.close()));
  }

  /** Cuts the requests under way, which fail as ones that may have been sent, and closes every connection. */
  async destroy(): Promise<void> {
    this.closed = true;
    await Promise.all([this.agent, ...this.ownClients].map((client) => client.destroy()));
  }

  private openOwn(origin: string): Client {
    if (this.closed) throw new RequestFailed('no', 'the HTTP client is closed');
    // pipelining 0 is how undici is told to send "connection: close".
    const own = new Client(origin, { connect: this.connect, pipelining: 0 });
    this.ownClients.add(own);
    return own;
  }

  private async dropOwn(own: Client): Promise<void> {
    this.ownClients.delete(own);
    await own.destroy();
  }

  private async exchange(via: Dispatcher, target: URL, exchange: Exchange): Promise<Reply<Buffer>> {
    const { maxBytes, timeoutMs, ...options } = exchange;
    let sent: Sent = 'no';
    const dispatcher = via.compose(
      beforeWriting((abort) => {
        // undici looks at the signal only now when the time was up while it was connecting.
        if (options.signal.aborted) return abort(options.signal.reason as Error);
        // It also writes a request again after some failures of a reused connection; a paid one must leave once.
        if (sent === 'maybe' && options.method === 'POST') abort(new Error('It would have been sent twice.'));
        sent = 'maybe';
      }),
    );
    try {
      // The signal is the one clock; undici's own two would end a long wait early.
      const reply = await request(target, { ...options, dispatcher, headersTimeout: 0, bodyTimeout: 0 });
      const body = await readBody(reply.body, maxBytes);
      return { status: reply.statusCode, headers: reply.headers, body };
    } catch (cause) {
      throw new RequestFailed(sent, reasonFor(cause, sent, timeoutMs), { cause });
    }
  }
}

interface Exchange {
  method: 'GET' | 'POST';
  headers?: Record<string, string>;
  body?: string;
  signal: AbortSignal;
  timeoutMs: number;
  maxBytes: number;
}

function parseUrl(url: string, base?: URL): URL {
  const parsed = URL.canParse(url, base?.href) ? new URL(url, base) : null;
  if (parsed && ['http:', 'https:'].includes(parsed.protocol)) return parsed;
  throw new RequestFailed('no', 'the address is not an http or https URL');
}

async function readBody(body: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > maxBytes) throw new BodyTooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/**
 * Calls `watch` when a connection is there and the request is about to be written. Until then nothing has left, which
 * covers refused connections, DNS, TLS and time-outs alike; a list of error codes would have to guess at new ones.
 */
function beforeWriting(
  watch: (abort: (reason: Error) => void) => void,
): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) =>
    dispatch(options, {
      onRequestStart: (controller, context) => {
        watch((reason) => controller.abort(reason));
        handler.onRequestStart?.(controller, context);
      },
      onResponseStart: (...event) => handler.onResponseStart?.(...event),
      onResponseData: (...event) => handler.onResponseData?.(...event),
      onResponseEnd: (...event) => handler.onResponseEnd?.(...event),
      onResponseError: (...event) => handler.onResponseError?.(...event),
    });
}
