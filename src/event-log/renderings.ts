import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { FairSlots, type SlotRequest } from '../core/limits/fair-slots.js';

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
/** The part of it that topics with large texts take, one at a time, and at most that of one batch of events. */
const MAX_COST_OF_BATCH = MAX_COST_IN_PROGRESS / 4;
const MAX_COST_OF_OTHERS = MAX_COST_IN_PROGRESS - MAX_COST_OF_BATCH;
/** Events that one topic renders at the same time, so that their database reads are batched. */
const MAX_BATCH_SIZE = 64;
/** Topics with longer texts are rendered one after another, and no faster than this. */
const LARGE_CHARACTERS = 64 * 1024;
const LARGE_CHARACTERS_PER_MS = 10_000;

/** The workspace, and the signal that its subscriber has left. */
type RenderingTurn = Pick<SlotRequest, 'owner' | 'signal'>;

/** The texts of events, which all topics share, and the bounds of what rendering takes. */
export class Renderings {
  private readonly texts = new LRUCache<string, string>({
    maxSize: MAX_KEPT_CHARACTERS,
    maxEntrySize: MAX_ENTRY_CHARACTERS,
    ttl: MAX_AGE_MS,
    sizeCalculation: (text) => text.length + ENTRY_CHARACTERS,
  });
  /** Workspaces take turns, so that one with thousands of topics does not make the others wait. */
  private readonly costInProgress = new FairSlots({
    capacity: MAX_COST_OF_OTHERS,
    maxPerOwner: MAX_COST_OF_OTHERS / 2,
  });
  private readonly largeTurns = new FairSlots({ capacity: 1 });

  find(key: string): string | undefined {
    return this.texts.get(key);
  }

  keep(key: string, text: string): void {
    this.texts.set(key, text);
  }

  /** How many events with this cost are rendered together. */
  batchSizeOf(cost: number): number {
    return Math.max(1, Math.min(MAX_BATCH_SIZE, Math.floor(MAX_COST_OF_BATCH / Math.max(1, cost))));
  }

  /** Runs `work`, which renders and sends events, when others leave enough room. Its weight is its cost. Throws NoFreeSlot. */
  async run<Result>(turn: RenderingTurn & { weight: number }, work: () => Promise<Result>): Promise<Result> {
    return this.costInProgress.run({ ...turn, weight: Math.max(1, Math.ceil(turn.weight)) }, work);
  }

  /**
   * Runs `work` for a topic with large texts, which returns their length. It does not wait for other topics without them. Throws
   * NoFreeSlot.
   */
  async runLarge(turn: RenderingTurn, work: () => Promise<number>): Promise<void> {
    await this.largeTurns.run(turn, async () => {
      const characters = await work();
      await delay(characters / LARGE_CHARACTERS_PER_MS, undefined, { ref: false });
    });
  }
}

export function isLarge(texts: readonly string[]): boolean {
  return texts.some(({ length }) => length > LARGE_CHARACTERS);
}
