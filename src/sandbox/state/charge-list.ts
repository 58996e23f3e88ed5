import { BoundedMap } from './bounded-map.js';
import { type ImageRequest } from '../http/parse-request.js';

/** One generation that was made, and that the real API would have billed. */
export interface LedgerEntry {
  taskId: string;
  prompt: string;
  model: string;
  action: ImageRequest['action'];
  /** How many pictures it made. */
  count: number;
  /** Whether it was asked for with a callback. */
  callbackUrl: boolean;
  /** When it was made, ISO 8601. */
  at: string;
}

/** What `GET /ledger` answers: `total` generations with `pictures` pictures between them. */
export interface LedgerPage {
  generations: LedgerEntry[];
  total: number;
  pictures: number;
}

/** Enough for any load test; 24 MB with short prompts. */
const MAX_ENTRIES = 100_000;

/** Every generation the sandbox made, oldest first. A generation that failed is not billed and is not here. */
export class Ledger {
  private readonly entries = new BoundedMap<LedgerEntry>(MAX_ENTRIES);

  add(taskId: string, request: ImageRequest, pictures: number): void {
    this.entries.set(taskId, {
      taskId,
      prompt: request.prompt,
      model: request.model.name,
      action: request.action,
      count: pictures,
      callbackUrl: request.callbackUrl !== null,
      at: new Date().toISOString(),
    });
  }

  /** The entries whose prompt holds `text`; all of them for an empty text. */
  page(text = ''): LedgerPage {
    const generations = this.entries.values().filter((entry) => entry.prompt.includes(text));
    const pictures = generations.reduce((sum, entry) => sum + entry.count, 0);
    return { generations, total: generations.length, pictures };
  }
}
