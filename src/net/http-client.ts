import { Agent, buildConnector, Client, request, type Dispatcher } from 'undici';
import { beforeWriting } from './before-writing.js';
import { type DownloadedFile, FileNotWritten, readBody, readStart, writeBody } from './body.js';
import { type AddressGuard, parseHttpUrl } from './guard.js';
import { reasonFor, RequestFailed, type Sent } from './request-failed.js';
import { parseUrl } from '../core/primitives/url.js';

export { type DownloadedFile, FileNotWritten } from './body.js';

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
  /** Checks every URL and every connection, also the ones after a redirect. What it refuses counts as not sent. */
  guard?: AddressGuard;
  /** Opens every connection, unless there is a guard. What it refuses counts as not sent. */
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
export interface DownloadOptions {
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
export type Download = Omit<Reply<never>, 'body'> & { file: DownloadedFile | null };

/**
 * Speaks HTTP with one peer. The only place that decides whether a failed request had left: every method answers with a
 * complete reply, whatever its status, or throws RequestFailed.
 */
export class HttpClient {
  private readonly guard: AddressGuard | undefined;
  private readonly connect: buildConnector.connector;
  private readonly agent: Agent;
  private readonly ownClients = new Set<Client>();
  private closed = false;

  constructor(options: HttpClientOptions = {}) {
    const timeout = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS;
    this.guard = options.guard;
    this.connect = options.guard?.connector(timeout) ?? options.connect ?? buildConnector({ timeout });
    this.agent = new Agent({ connect: this.connect });
  }

  /** Posts `body` as JSON and returns the answer as text. Follows no redirect. The answer may have 10 MB. */
  async postJson(url: string, body: unknown, options: PostOptions): Promise<Reply<string>> {
    const read: Read<string> = async (answer) => (await readBody(answer, MAX_REPLY_BYTES)).toString('utf8');
    return this.post(url, JSON.stringify(body), options, read);
  }

  /** As `postJson`, of a text that is JSON already. Of the answer the first `keptBytes` are returned, or what came of them in time; the rest is not waited for. */
  async postText(url: string, json: string, keptBytes: number, options: PostOptions): Promise<Reply<string>> {
    const read: Read<string> = async (answer) => (await readStart(answer, keptBytes)).toString('utf8');
    return this.post(url, json, options, read);
  }

  /**
   * Fetches at most `maxBytes` into a new file, following up to 3 redirects to http(s) addresses. Only a 200 makes a file;
   * `file` is null for every other status. `cause` is BodyTooLarge when it is more. Throws FileNotWritten when it is our own
   * disk that fails. There is no file when it throws.
   */
  async download(url: string, path: string, { maxBytes, timeoutMs }: DownloadOptions): Promise<Download> {
    const { body, ...rest } = await this.follow(url, timeoutMs, async (answer) => {
      if (answer.statusCode === 200) return writeBody(answer, path, maxBytes);
      // Reads what is short, so that the connection can be used again, and cuts what is long.
      await answer.body.dump();
      return null;
    });
    return { ...rest, file: body };
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

  private async post(
    url: string,
    body: string,
    options: PostOptions,
    read: Read<string>,
  ): Promise<Reply<string>> {
    const target = this.checkUrl(url);
    const own = options.freshConnection ? this.openOwn(target.origin) : null;
    try {
      const exchange = {
        method: 'POST',
        headers: { ...options.headers, 'content-type': 'application/json', accept: 'application/json' },
        body,
        timeoutMs: options.timeoutMs,
        signal: AbortSignal.timeout(options.timeoutMs),
      } as const;
      return await this.exchange(own ?? this.agent, target, exchange, read);
    } finally {
      if (own) await this.dropOwn(own);
    }
  }

  private async follow<Body>(url: string, timeoutMs: number, read: Read<Body>): Promise<Reply<Body>> {
    const signal = AbortSignal.timeout(timeoutMs);
    let target = this.checkUrl(url);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects += 1) {
      const reply = await this.exchange(this.agent, target, { method: 'GET', timeoutMs, signal }, read);
      const { location } = reply.headers;
      if (!REDIRECTS.includes(reply.status) || typeof location !== 'string') return reply;
      target = this.checkUrl(location, target);
    }
    throw new RequestFailed('maybe', `it was redirected more than ${MAX_REDIRECTS} times`);
  }

  private checkUrl(url: string, base?: URL): URL {
    const text = (base && parseUrl(url, base.href)?.href) ?? url;
    try {
      return this.guard ? this.guard.checkUrl(text) : parseHttpUrl(text);
    } catch (cause) {
      throw new RequestFailed('no', reasonFor(cause, 'no', 0), { cause });
    }
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

  private async exchange<Body>(
    via: Dispatcher,
    target: URL,
    { timeoutMs, ...options }: Exchange,
    read: Read<Body>,
  ): Promise<Reply<Body>> {
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
      const answer = await request(target, { ...options, dispatcher, headersTimeout: 0, bodyTimeout: 0 });
      return { status: answer.statusCode, headers: answer.headers, body: await read(answer) };
    } catch (cause) {
      if (cause instanceof FileNotWritten) throw cause;
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
}
type Read<Body> = (answer: Dispatcher.ResponseData) => Promise<Body>;
