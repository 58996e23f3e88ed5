import { Agent, type Dispatcher, interceptors, request } from 'undici';
import { USER_AGENT } from '../../core/primitives/url.js';
import { ApiRefusal } from './api-refusal.js';

/** For source images and callbacks, from the start of the request to the end of the response. */
const TIMEOUT_MS = 10_000;
/** Maximum size of a source image, similar to the upload limits of common image hosts. */
const MAX_SOURCE_BYTES = 25 * 1024 * 1024;
const MAX_REDIRECTS = 3;

/** Fetches the source images of edits and posts callbacks. */
export class SandboxHttpClient {
  /**
   * One connection per request (`pipelining: 0`). On a kept connection that the server is just closing, a callback would
   * be lost by chance, because it is posted once.
   */
  private readonly agent = new Agent({
    pipelining: 0,
    connect: { timeout: TIMEOUT_MS },
    maxResponseSize: MAX_SOURCE_BYTES,
  });
  private readonly redirectingAgent = this.agent.compose(
    interceptors.redirect({ maxRedirections: MAX_REDIRECTS }),
  );

  /** @param signal aborts all requests in progress */
  constructor(private readonly signal: AbortSignal) {}

  /**
   * Downloads a source image.
   * @throws ApiRefusal `api_error` "fetch failed" unless it arrives with a 2xx status, within 10 s and in at most 25 MB.
   */
  async fetchSource(url: string): Promise<Buffer> {
    try {
      const { statusCode, body } = await this.request(url, { dispatcher: this.redirectingAgent });
      const bytes = Buffer.from(await body.bytes());
      if (statusCode >= 300) throw new Error(`answered ${statusCode}`);
      return bytes;
    } catch (cause) {
      throw new ApiRefusal('api_error', 'fetch failed', { cause });
    }
  }

  /** Posts `body` as JSON, once, and returns the status. Rejects when no response arrives within 10 s. */
  async post(url: string, body: unknown): Promise<number> {
    const options = {
      dispatcher: this.agent,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    } as const;
    const response = await this.request(url, options);
    await response.body.dump();
    return response.statusCode;
  }

  /** Closes every connection at once. */
  async close(): Promise<void> {
    await this.agent.destroy();
  }

  private request(
    url: string,
    options: { dispatcher: Dispatcher; method?: 'POST'; headers?: Record<string, string>; body?: string },
  ): ReturnType<typeof request> {
    const signal = AbortSignal.any([this.signal, AbortSignal.timeout(TIMEOUT_MS)]);
    return request(url, { ...options, headers: { ...options.headers, 'user-agent': USER_AGENT }, signal });
  }
}
