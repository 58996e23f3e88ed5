import { setTimeout as delay } from 'node:timers/promises';
import { Mutex, Semaphore } from 'async-mutex';
import { LRUCache } from 'lru-cache';

/** Limit for the rendered events of all topics together. Reconnecting subscribers mostly need the same few hundred events. */
export const MAX_KEPT_CHARACTERS = 16 * 1024 * 1024;
/** What an event takes in addition to its text. */
const ENTRY_CHARACTERS = 200;
/** Clients that reconnect come within seconds. Links in a text may expire after a minute. */
const MAX_AGE_MS = 10_000;
/** Longer texts are not kept. An event usually has 1 kB. */
const MAX_ENTRY_CHARACTERS = 256 * 1024;
/**
 * Cost points of the events that are rendered or sent at the same time, of all topics. A point stands for a field, and the largest
 * field has 12 kB, the prompt.
 */
export const MAX_COST_IN_PROGRESS = 6_400;
/** Events that one topic renders at the same time, so that their database reads are batched. */
const MAX_BATCH_SIZE = 64;
/** Topics with longer texts are rendered one after another, and no faster than this. */
const LARGE_CHARACTERS = 64 * 1024;
const LARGE_CHARACTERS_PER_MS = 10_000;

/** The texts of events, which all topics share, and the bounds of what rendering takes. */
export class Renderings {
  private readonly texts = new LRUCache<string, string>({
    maxSize: MAX_KEPT_CHARACTERS,
    maxEntrySize: MAX_ENTRY_CHARACTERS,
    ttl: MAX_AGE_MS,
    sizeCalculation: (text) => text.length + ENTRY_CHARACTERS,
  });
  private readonly costInProgress = new Semaphore(MAX_COST_IN_PROGRESS);
  private readonly largeTurns = new Mutex();

  find(key: string): string | undefined {
    return this.texts.get(key);
  }

  keep(key: string, text: string): void {
    this.texts.set(key, text);
  }

  /** How many events with this cost are rendered together. */
  batchSizeOf(cost: number): number {
    return Math.max(1, Math.min(MAX_BATCH_SIZE, Math.floor(MAX_COST_IN_PROGRESS / 2 / Math.max(1, cost))));
  }

  /** Runs `work`, which renders and sends events, when others leave enough room. */
  async run<Result>(totalCost: number, work: () => Promise<Result>): Promise<Result> {
    const weight = Math.max(1, Math.min(MAX_COST_IN_PROGRESS, totalCost));
    return this.costInProgress.runExclusive(work, weight);
  }

  /** Runs `work` for a topic with large texts, which returns their length. */
  async runLarge(work: () => Promise<number>): Promise<void> {
    await this.largeTurns.runExclusive(async () => {
      const characters = await work();
      await delay(characters / LARGE_CHARACTERS_PER_MS, undefined, { ref: false });
    });
  }
}

export function isLarge(texts: readonly string[]): boolean {
  return texts.some(({ length }) => length > LARGE_CHARACTERS);
}
