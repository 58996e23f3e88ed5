import { LRUCache } from 'lru-cache';

/** Limit for all documents together. Those of one frontend have some tens of kilobytes. */
const MAX_CHARACTERS = 4 * 1024 * 1024;
/** Apollo's prefix of the hash in cache keys. */
const APOLLO_KEY_PREFIX = 'apq:';

/** Cache of Apollo's automatic persisted queries: clients send a document once with its hash, and later only the hash. */
export class PersistedQueries {
  private readonly texts = new LRUCache<string, string>({
    maxSize: MAX_CHARACTERS,
    sizeCalculation: (text) => Math.max(1, text.length),
  });

  get(key: string): Promise<string | undefined> {
    return Promise.resolve(this.texts.get(key));
  }

  set(key: string, text: string): Promise<void> {
    this.texts.set(key, text);
    return Promise.resolve();
  }

  delete(key: string): Promise<boolean> {
    return Promise.resolve(this.texts.delete(key));
  }

  /** Finds the document of a request that has only its hash. */
  findText(extensions: unknown): string | undefined {
    const { persistedQuery } = Object(extensions) as { persistedQuery?: { sha256Hash?: unknown } };
    const hash = persistedQuery?.sha256Hash;
    return typeof hash === 'string' ? this.texts.get(APOLLO_KEY_PREFIX + hash) : undefined;
  }
}
