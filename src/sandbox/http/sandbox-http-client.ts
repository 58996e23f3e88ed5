import { Agent, interceptors, type Dispatcher } from 'undici';
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
  private readonly agent = new Agent({ pipelining: 0, connect: { timeout: TIMEOUT_MS } });
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
      const response = await this.request(this.redirectingAgent, url, 'GET');
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of response.body as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > MAX_SOURCE_BYTES) throw new Error(`larger than ${MAX_SOURCE_BYTES} bytes`);
        chunks.push(chunk);
      }
      if (response.statusCode >= 300) throw new Error(`answered ${response.statusCode}`);
      return Buffer.concat(chunks);
    } catch (cause) {
      throw new ApiRefusal('api_error', 'fetch failed', { cause });
    }
  }

  /** Posts `body` as JSON, once, and returns the status. Rejects when no response arrives within 10 s. */
  async post(url: string, body: unknown): Promise<number> {
    const response = await this.request(this.agent, url, 'POST', JSON.stringify(body));
    await response.body.dump();
    return response.statusCode;
  }

  /** Closes every connection at once. */
  async close(): Promise<void> {
    await this.agent.destroy();
  }

  private async request(
    dispatcher: Dispatcher,
    url: string,
    method: 'GET' | 'POST',
    body?: string,
  ): Promise<Dispatcher.ResponseData> {
    const { origin, pathname, search } = new URL(url);
    return dispatcher.request({
      ...{ origin, path: pathname + search, method, body },
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      signal: AbortSignal.any([this.signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
  }
}
