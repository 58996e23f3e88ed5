import { Agent, interceptors, type Dispatcher } from 'undici';
import { ApiRefusal } from './api-refusal.js';

/** For a source picture and for a callback alike, from the first byte sent to the last received. */
const TIMEOUT_MS = 10_000;
/** The largest source picture that is read; the same order as what picture hosts let people upload. */
const MAX_SOURCE_BYTES = 25 * 1024 * 1024;
const MAX_REDIRECTS = 3;

/** The sandbox's own calls out: it fetches the sources of edits and posts callbacks. */
export class HttpClient {
  private readonly agent = new Agent({ connect: { timeout: TIMEOUT_MS } });
  private readonly following = this.agent.compose(interceptors.redirect({ maxRedirections: MAX_REDIRECTS }));

  /** @param closing aborts whatever is under way */
  constructor(private readonly closing: AbortSignal) {}

  /**
   * The bytes at `url`.
   * @throws ApiRefusal `api_error` "fetch failed" when they do not come with a 2xx, within 10 s, in at most 25 MB.
   */
  async fetchSource(url: string): Promise<Buffer> {
    try {
      const response = await this.call(this.following, url, 'GET');
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

  /** Posts `body` as JSON, once, and returns the status. Rejects when no answer came within 10 s. */
  async post(url: string, body: unknown): Promise<number> {
    const response = await this.call(this.agent, url, 'POST', JSON.stringify(body));
    await response.body.dump();
    return response.statusCode;
  }

  /** Ends every connection at once. */
  async close(): Promise<void> {
    await this.agent.destroy();
  }

  private async call(
    dispatcher: Dispatcher,
    url: string,
    method: 'GET' | 'POST',
    body?: string,
  ): Promise<Dispatcher.ResponseData> {
    const { origin, pathname, search } = new URL(url);
    return dispatcher.request({
      ...{ origin, path: pathname + search, method, body },
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      signal: AbortSignal.any([this.closing, AbortSignal.timeout(TIMEOUT_MS)]),
    });
  }
}
