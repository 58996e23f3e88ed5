import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { type RequestHandler, TestHttpServer, reply } from '../net/test-http-server.js';
import { waitFor } from '../wait-for.js';

/** Base of the callback URLs. Nothing listens there. Tests post to the same path of the app instead. */
const PUBLIC_URL = 'https://darkroom.example';

/** The body that the service sends to `/flux/images`. */
export interface SubmittedRequest {
  action: string;
  prompt: string;
  callback_url?: string;
  image_url?: string;
  [field: string]: unknown;
}

/**
 * An upstream whose responses the test controls one by one: the sandbox does what the real upstream does, and this one
 * anything it might do. It is a real HTTP server that also serves an image at every path ending in `.png`.
 */
export class FakeUpstream {
  /** Handles submissions. Accepts them by default. */
  onSubmit: RequestHandler;
  /** Handles reads. Knows no tasks by default. */
  onRead: RequestHandler = reply(200, { items: [], count: 0 });
  /** Images are sent once this has resolved. */
  imagesReleased: Promise<unknown> = Promise.resolve();
  /** Other images than `imageBytes`, by name. */
  readonly images = new Map<string, Buffer>();
  private submissionCount = 0;

  private constructor(
    private readonly server: TestHttpServer,
    readonly imageBytes: Buffer,
  ) {
    this.onSubmit = (response) =>
      reply(200, { task_id: `upstream-task-${++this.submissionCount}` })(response, NO_REQUEST);
    server.handler = (response, received) => {
      const [, name] = /^\/(.*)\.png$/.exec(received.path) ?? [];
      if (name !== undefined)
        void this.imagesReleased.then(() => response.end(this.images.get(name) ?? imageBytes));
      else if (received.path === '/flux/images') this.onSubmit(response, received);
      else this.onRead(response, received);
    };
  }

  /** Without `imageBytes`, every image is a small blue one. */
  static async open(imageBytes?: Buffer): Promise<FakeUpstream> {
    const blue = { width: 16, height: 8, channels: 3, background: 'blue' } as const;
    const server = await TestHttpServer.open(reply(404, {}));
    return new FakeUpstream(server, imageBytes ?? (await sharp({ create: blue }).png().toBuffer()));
  }

  /** Environment variables that make a service use this upstream. */
  get environment(): Record<string, string> {
    return { FLUX_API_TOKEN: 'token-of-the-fake', FLUX_BASE_URL: this.server.url, PUBLIC_URL };
  }

  imageUrl(name: string): string {
    return `${this.server.url}/${name}.png`;
  }

  /** Whether the image was requested. */
  wasFetched(name: string): boolean {
    return this.server.requests.some((received) => received.path === `/${name}.png`);
  }

  /** All submissions with this prompt. */
  submissions(prompt: string): SubmittedRequest[] {
    return this.server.requests
      .filter((received) => received.path === '/flux/images')
      .map((received) => JSON.parse(received.body) as SubmittedRequest)
      .filter((submission) => submission.prompt === prompt);
  }

  /** Waits for a submission of the prompt, and returns the path of its callback URL. */
  async callbackPath(prompt: string): Promise<string> {
    const [submission] = await waitFor(`a submission of "${prompt}"`, () => {
      const found = this.submissions(prompt);
      return found.length > 0 && found;
    });
    const link = submission?.callback_url ?? '';
    if (!link.startsWith(`${PUBLIC_URL}/`))
      throw new Error(`The callback URL does not start with ${PUBLIC_URL}: ${link}`);
    return link.slice(PUBLIC_URL.length);
  }

  /** The body of a callback with `count` images. */
  successCallback(count = 1, name = 'image'): object {
    const data = Array.from({ length: count }, (_, index) => ({
      prompt: 'echoed',
      image_url: this.imageUrl(`${name}-${index}`),
      seed: index,
      timings: { inference: 1.5 },
    }));
    return { success: true, task_id: 'named-by-callback', trace_id: 'trace-of-callback', data };
  }

  failureCallback(code: string): object {
    return {
      success: false,
      task_id: 'named-by-callback',
      trace_id: 'trace',
      error: { code, message: 'why' },
    };
  }

  /** A body recorded from the real upstream, with links to this server instead of the expired ones. */
  sample(name: string): Record<string, unknown> {
    const text = readFileSync(new URL(`../../contract/samples/${name}.json`, import.meta.url), 'utf8');
    const withLocalUrls = text.replace(/https:\/\/[^"]*\/([^"/]+\.png)/g, `${this.server.url}/$1`);
    return JSON.parse(withLocalUrls) as Record<string, unknown>;
  }

  close(): Promise<void> {
    return this.server.close();
  }
}

const NO_REQUEST = { method: '', path: '', headers: {}, body: '', connection: undefined };
