import { type Logger } from 'pino';
import { LRUCache } from 'lru-cache';
import { type ApiKeys } from '../../db/access/api-key-repository.js';

/** Nobody asks for more than the minute of it. */
const ONCE_IN_MS = 60_000;
/** Those that come at the same time are written together. */
const TOGETHER_MS = 250;
const KEYS_KEPT = 10_000;

/** Writes down when keys were used: each once a minute at most, and in no request's way. */
export class KeyUse {
  private readonly noted = new LRUCache<string, true>({ max: KEYS_KEPT, ttl: ONCE_IN_MS });
  private readonly waiting = new Set<string>();
  private timer: NodeJS.Timeout | null = null;
  private writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly keys: ApiKeys,
    private readonly log: Logger,
  ) {}

  note(keyId: string): void {
    if (this.noted.has(keyId)) return;
    this.noted.set(keyId, true);
    this.waiting.add(keyId);
    this.timer ??= setTimeout(() => void this.write(), TOGETHER_MS).unref();
  }

  /** Writes down what was noted until now. */
  async stop(): Promise<void> {
    await this.write();
  }

  private write(): Promise<void> {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    const ids = [...this.waiting];
    this.waiting.clear();
    if (ids.length === 0) return this.writing;
    this.writing = this.writing
      .then(() => this.keys.markUsed(ids))
      .catch((error: unknown) =>
        this.log.warn({ err: error }, 'the last use of keys could not be written down'),
      );
    return this.writing;
  }
}
