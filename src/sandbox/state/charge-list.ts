import { type SandboxImageRequest } from '../http/parse-request.js';

/** One generation that the real API would have billed. */
type Charge = ReturnType<typeof newCharge>;

/** The response of `GET /ledger`: `total` generations with `images` images together. */
export type ChargePage = ReturnType<ChargeList['page']>;

/** Enough for any load test, and 24 MB with short prompts. */
const MAX_ENTRIES = 100_000;

/** The successful generations, oldest first. Failed ones are not billed. */
export class ChargeList {
  private readonly entries: Charge[] = [];

  add(taskId: string, request: SandboxImageRequest, imageCount: number): void {
    this.entries.push(newCharge(taskId, request, imageCount));
    if (this.entries.length > MAX_ENTRIES) this.entries.shift();
  }

  /** The charges whose prompt contains `text`. An empty text matches all. */
  page(text = '') {
    const generations = this.entries.filter((entry) => entry.prompt.includes(text));
    const images = generations.reduce((sum, entry) => sum + entry.count, 0);
    return { generations, total: generations.length, images };
  }
}

function newCharge(taskId: string, request: SandboxImageRequest, imageCount: number) {
  const { prompt, model, action, callbackUrl } = request;
  const at = new Date().toISOString();
  return {
    taskId,
    prompt,
    model: model.name,
    action,
    count: imageCount,
    hasCallback: callbackUrl !== null,
    at,
  };
}
