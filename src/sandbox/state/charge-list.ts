import { type SandboxImageRequest } from '../http/parse-request.js';

/** One generation that the real API would have billed. */
export interface Charge {
  taskId: string;
  prompt: string;
  model: string;
  action: SandboxImageRequest['action'];
  /** Number of images. */
  count: number;
  /** Whether the request had a callback URL. */
  hasCallback: boolean;
  /** When it finished, ISO 8601. */
  at: string;
}

/** The response of `GET /ledger`: `total` generations with `images` images together. */
export interface ChargePage {
  generations: Charge[];
  total: number;
  images: number;
}

/** Enough for any load test, and 24 MB with short prompts. */
const MAX_ENTRIES = 100_000;

/** The successful generations, oldest first. Failed ones are not billed. */
export class ChargeList {
  private readonly entries: Charge[] = [];

  add(taskId: string, request: SandboxImageRequest, imageCount: number): void {
    this.entries.push({
      taskId,
      prompt: request.prompt,
      model: request.model.name,
      action: request.action,
      count: imageCount,
      hasCallback: request.callbackUrl !== null,
      at: new Date().toISOString(),
    });
    if (this.entries.length > MAX_ENTRIES) this.entries.shift();
  }

  /** The charges whose prompt contains `text`. An empty text matches all. */
  page(text = ''): ChargePage {
    const generations = this.entries.filter((entry) => entry.prompt.includes(text));
    const images = generations.reduce((sum, entry) => sum + entry.count, 0);
    return { generations, total: generations.length, images };
  }
}
