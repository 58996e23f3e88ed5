import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { type Answerer, Peer, reply } from '../net/http-peer.js';
import { waitFor } from '../wait-for.js';

/** Where the upstream is told to call back. Nobody answers there: tests post to the same path of the app. */
const PUBLIC_URL = 'https://darkroom.example';

/** What the service sends to `/flux/images`. */
export interface Submission {
  action: string;
  prompt: string;
  callback_url?: string;
  image_url?: string;
  [field: string]: unknown;
}

/**
 * A stand-in for the provider that a test directs answer by answer: the sandbox shows what the provider does, this one
 * what it might. A real HTTP server; it also serves a picture, at every path that ends in `.png`.
 */
export class FakeUpstream {
  /** Answers submissions and readings until a test says otherwise. */
  submit: Answerer;
  read: Answerer = reply(200, { items: [], count: 0 });
  /** Pictures are sent when this has resolved. */
  picturesMayGo: Promise<unknown> = Promise.resolve();
  private submitted = 0;

  private constructor(
    private readonly peer: Peer,
    readonly picture: Buffer,
  ) {
    this.submit = (response) => reply(200, { task_id: `upstream-task-${++this.submitted}` })(response, NONE);
    peer.answer = (response, received) => {
      if (received.path.endsWith('.png')) void this.picturesMayGo.then(() => response.end(picture));
      else if (received.path === '/flux/images') this.submit(response, received);
      else this.read(response, received);
    };
  }

  static async open(): Promise<FakeUpstream> {
    const blue = { width: 16, height: 8, channels: 3, background: 'blue' } as const;
    const peer = await Peer.open(reply(404, {}));
    return new FakeUpstream(peer, await sharp({ create: blue }).png().toBuffer());
  }

  /** What makes a service use it. */
  get environment(): Record<string, string> {
    return { FLUX_API_TOKEN: 'token-of-the-fake', FLUX_BASE_URL: this.peer.url, PUBLIC_URL };
  }

  pictureUrl(name: string): string {
    return `${this.peer.url}/${name}.png`;
  }

  /** Whether anybody has asked for the picture. */
  wasFetched(name: string): boolean {
    return this.peer.received.some((received) => received.path === `/${name}.png`);
  }

  /** What was asked for with this prompt. */
  submissions(prompt: string): Submission[] {
    return this.peer.received
      .filter((received) => received.path === '/flux/images')
      .map((received) => JSON.parse(received.body) as Submission)
      .filter((submission) => submission.prompt === prompt);
  }

  /** Waits until the prompt was submitted; the path of its callback link. */
  async callbackPath(prompt: string): Promise<string> {
    const [submission] = await waitFor(`a submission of "${prompt}"`, () => {
      const found = this.submissions(prompt);
      return found.length > 0 && found;
    });
    const link = submission?.callback_url ?? '';
    if (!link.startsWith(`${PUBLIC_URL}/`)) throw new Error(`This is not a callback link of ours: ${link}`);
    return link.slice(PUBLIC_URL.length);
  }

  /** The body of a callback that brings `count` pictures. */
  success(count = 1, name = 'picture'): object {
    const data = Array.from({ length: count }, (_, index) => ({
      prompt: 'echoed',
      image_url: this.pictureUrl(`${name}-${index}`),
      seed: index,
      timings: { inference: 1.5 },
    }));
    return { success: true, task_id: 'named-by-callback', trace_id: 'trace-of-callback', data };
  }

  failure(code: string): object {
    return {
      success: false,
      task_id: 'named-by-callback',
      trace_id: 'trace',
      error: { code, message: 'why' },
    };
  }

  /** A body that the real upstream has sent, with its pictures at our address instead of links that have expired. */
  sample(name: string): Record<string, unknown> {
    const text = readFileSync(new URL(`../../contract/samples/${name}.json`, import.meta.url), 'utf8');
    const here = text.replace(/https:\/\/[^"]*\/([^"/]+\.png)/g, `${this.peer.url}/$1`);
    return JSON.parse(here) as Record<string, unknown>;
  }

  close(): Promise<void> {
    return this.peer.close();
  }
}

const NONE = { method: '', path: '', headers: {}, body: '', connection: undefined };
