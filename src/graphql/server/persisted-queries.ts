import { LRUCache } from 'lru-cache';

/** Of all texts, together; a frontend's are some tens of kilobytes. */
const MAX_CHARACTERS = 4 * 1024 * 1024;
/** What Apollo puts before the hash. */
const PREFIX = 'apq:';

/** Texts that clients sent once with their hash, and then name by it: Apollo's automatic persisted queries. */
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

  /** The text of a request that names it by its hash alone. */
  textOf(extensions: unknown): string | undefined {
    const { persistedQuery } = Object(extensions) as { persistedQuery?: { sha256Hash?: unknown } };
    const hash = persistedQuery?.sha256Hash;
    return typeof hash === 'string' ? this.texts.get(PREFIX + hash) : undefined;
  }
}
