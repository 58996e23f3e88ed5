import { LRUCache } from 'lru-cache';
import { BatchedWriter } from '../../core/primitives/batched-writer.js';
import { type Dependencies } from '../dependencies.js';

/** `lastUsedAt` is precise to the minute. */
const MIN_WRITE_INTERVAL_MS = 60_000;
/** Collects concurrent uses into one statement. */
const BATCH_DELAY_MS = 250;
const MAX_TRACKED_KEYS = 10_000;

/** Records when API keys were last used, at most once a minute for each key. Requests never wait for it. */
export class ApiKeyUsage {
  private readonly recentlyUsed = new LRUCache<string, true>({
    max: MAX_TRACKED_KEYS,
    ttl: MIN_WRITE_INTERVAL_MS,
  });
  private readonly writer: BatchedWriter<string>;

  constructor({ apiKeys, log }: Pick<Dependencies, 'apiKeys' | 'log'>) {
    this.writer = new BatchedWriter({
      delayMs: BATCH_DELAY_MS,
      maxItems: MAX_TRACKED_KEYS,
      write: (keyIds) => apiKeys.markUsed(keyIds),
      onError: (error) => log.warn({ err: error }, 'failed to record the last use of API keys'),
    });
  }

  recordUse(keyId: string): void {
    if (this.recentlyUsed.has(keyId)) return;
    this.recentlyUsed.set(keyId, true);
    this.writer.add(keyId, keyId);
  }

  /** Writes the pending uses. */
  async stop(): Promise<void> {
    await this.writer.flush();
  }
}
