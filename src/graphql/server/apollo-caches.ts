import { type DocumentNode } from 'graphql';
import { LRUCache } from 'lru-cache';
import { type OperationCache } from './operation-cache.js';

/**
 * What relies on the keys that Apollo Server computes for its caches. They are not documented, so
 * test/contract/apollo-internals.test.ts checks them against the installed version.
 */

/** Limit for all documents together. Those of one frontend have some tens of kilobytes. */
const MAX_CHARACTERS = 4 * 1024 * 1024;
/** Apollo's prefix of the hash in the keys of persisted queries. */
const PERSISTED_QUERY_PREFIX = 'apq:';
/** The key of a document ends with the SHA-256 of its text in hexadecimal. */
const TEXT_HASH_LENGTH = 64;

/**
 * Automatic persisted queries: clients send a document once with its hash, and later only the hash. Apollo verifies the hash
 * and stores the document. It finds none, because RequestReader has put the document of a known hash into the request. Thus
 * the document that runs is the one whose limits were checked, even if another request stores it in between.
 */
export class PersistedQueries {
  private readonly texts = new LRUCache<string, string>({
    maxSize: MAX_CHARACTERS,
    sizeCalculation: (text) => Math.max(1, text.length),
  });

  get(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  set(key: string, text: string): Promise<void> {
    this.texts.set(key, text);
    return Promise.resolve();
  }

  delete(key: string): Promise<boolean> {
    return Promise.resolve(this.texts.delete(key));
  }

  /** Finds a document by the hexadecimal SHA-256 of its text. */
  findText(sha256Hash: string): string | undefined {
    return this.texts.get(PERSISTED_QUERY_PREFIX + sha256Hash);
  }
}

/** Documents were parsed and validated before Apollo sees them. It finds them here and does not parse again. */
export function createDocumentStore(operations: Pick<OperationCache, 'findByTextHash'>) {
  return {
    get: (key: string): Promise<DocumentNode | undefined> =>
      Promise.resolve(operations.findByTextHash(key.slice(-TEXT_HASH_LENGTH))),
    set: () => Promise.resolve(),
    delete: () => Promise.resolve(),
  };
}
