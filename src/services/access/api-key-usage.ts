import { type Logger } from 'pino';
import { LRUCache } from 'lru-cache';
import { type ApiKeyRepository } from '../../db/access/api-key-repository.js';

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
  private readonly pending = new Set<string>();
  private timer: NodeJS.Timeout | null = null;
  private pendingWrite: Promise<void> = Promise.resolve();

  constructor(
    private readonly keys: ApiKeyRepository,
    private readonly log: Logger,
  ) {}

  recordUse(keyId: string): void {
    if (this.recentlyUsed.has(keyId)) return;
    this.recentlyUsed.set(keyId, true);
    this.pending.add(keyId);
    this.timer ??= setTimeout(() => void this.flush(), BATCH_DELAY_MS).unref();
  }

  /** Writes the pending uses. */
  async stop(): Promise<void> {
    await this.flush();
  }

  private flush(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    const ids = [...this.pending];
    this.pending.clear();
    if (ids.length === 0) return this.pendingWrite;
    this.pendingWrite = this.pendingWrite
      .then(() => this.keys.markUsed(ids))
      .catch((error: unknown) => this.log.warn({ err: error }, 'failed to record the last use of API keys'));
    return this.pendingWrite;
  }
}
