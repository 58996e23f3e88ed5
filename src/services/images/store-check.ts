import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { type StoredImage } from '../../db/images/image-repository.js';
import { allStoreKeys, NotStored, originalKey, type StoreKey } from '../../storage/image-store.js';
import { type Dependencies } from '../dependencies.js';
import { databaseTimeMs } from '../../core/primitives/clock.js';

const PAGE_SIZE = 500;
const LOWEST_ID = '00000000-0000-0000-0000-000000000000';
/** Newer files can belong to an image that is being ingested. */
const MIN_ORPHAN_AGE_MS = 3_600_000;
const DOWNLOAD_TIMEOUT_MS = 30_000;

export type StoreFault = 'missing' | 'corrupt' | 'orphaned';

/** A problem with one blob or file in the store. */
export interface StoreFinding {
  fault: StoreFault;
  /** Key in the store. */
  key: string;
  /** IDs of the images that need it. Empty for an orphan. */
  imageIds: string[];
  /** Whether the problem was repaired. */
  repaired: boolean;
}

export interface StoreReport {
  images: number;
  blobs: number;
  findings: StoreFinding[];
}

interface StoreCheckDependencies extends Pick<Dependencies, 'blobs' | 'http' | 'images' | 'store'> {
  maxBytes: number;
}

/**
 * Compares the store with the images, by reading and hashing every blob. With `repair`, missing and corrupt blobs are
 * downloaded again from the upstream's URL if it still serves the same bytes, the variants of corrupt ones are removed, and so are
 * orphaned files.
 */
export class StoreCheck {
  constructor(private readonly deps: StoreCheckDependencies) {}

  async run({ repair }: { repair: boolean }): Promise<StoreReport> {
    const report: StoreReport = { images: 0, blobs: 0, findings: [] };
    const imagesByHash = await this.groupImagesByHash(report);
    report.blobs = imagesByHash.size;
    for (const [sha256, images] of imagesByHash) {
      const fault = await this.verifyBlob(sha256);
      if (!fault) continue;
      if (repair && fault === 'corrupt') await this.removeVariants(sha256);
      const repaired = repair && (await this.redownload(sha256, images, fault));
      report.findings.push({ fault, key: sha256, imageIds: images.map(({ id }) => id), repaired });
    }
    for await (const key of this.findOrphans()) {
      const repaired = repair && (await this.removeOrphan(key));
      report.findings.push({ fault: 'orphaned', key, imageIds: [], repaired });
    }
    return report;
  }

  private async groupImagesByHash(report: StoreReport): Promise<Map<string, StoredImage[]>> {
    const imagesByHash = new Map<string, StoredImage[]>();
    for (let after = LOWEST_ID; ;) {
      const page = await this.deps.images.listStored(after, PAGE_SIZE);
      for (const image of page)
        imagesByHash.set(image.sha256, [...(imagesByHash.get(image.sha256) ?? []), image]);
      report.images += page.length;
      const last = page.at(-1);
      if (!last) return imagesByHash;
      after = last.id;
    }
  }

  private async verifyBlob(sha256: string): Promise<StoreFault | null> {
    try {
      const hash = createHash('sha256');
      await pipeline(await this.deps.store.open(originalKey(Buffer.from(sha256, 'hex'))), hash);
      return hash.digest('hex') === sha256 ? null : 'corrupt';
    } catch (error) {
      if (error instanceof NotStored) return 'missing';
      throw error;
    }
  }

  /** They may have been made from the corrupt bytes, and are made again from the right ones. */
  private async removeVariants(sha256: string): Promise<void> {
    const [, ...variantKeys] = allStoreKeys(Buffer.from(sha256, 'hex'));
    await this.deps.store.remove(variantKeys);
  }

  private async redownload(sha256: string, images: StoredImage[], fault: StoreFault): Promise<boolean> {
    const key = originalKey(Buffer.from(sha256, 'hex'));
    for (const { upstreamUrl } of images) {
      if (upstreamUrl === null) continue;
      const path = await this.deps.store.incoming.createPath();
      try {
        const limits = {
          maxBytes: this.deps.maxBytes,
          timeoutMs: DOWNLOAD_TIMEOUT_MS,
          files: this.deps.store.incoming,
        };
        const response = await this.deps.http.download(upstreamUrl, path, limits).catch(() => null);
        if (response?.body?.sha256.toString('hex') !== sha256) continue;
        if (fault === 'corrupt') await this.deps.store.remove([key]);
        await this.deps.store.put(key, path);
        return true;
      } finally {
        await this.deps.store.incoming.remove(path);
      }
    }
    return false;
  }

  /** Keys of files whose blob has no row, so that nothing ever reads or removes them. */
  private async *findOrphans() {
    let page = [];
    for await (const file of this.deps.store.list()) {
      if (databaseTimeMs() - file.modifiedAt.getTime() < MIN_ORPHAN_AGE_MS) continue;
      page.push(file.key);
      if (page.length < PAGE_SIZE) continue;
      yield* await this.filterOrphans(page);
      page = [];
    }
    yield* await this.filterOrphans(page);
  }

  /** Removes a file unless its blob has a row by now, because the same bytes are being stored. */
  private async removeOrphan(key: StoreKey): Promise<boolean> {
    const claim = await this.deps.blobs.claimOrphan(Buffer.from(hashOfKey(key), 'hex'));
    if (!claim) return false;
    await this.deps.store.remove([key]);
    await this.deps.blobs.deleteClaimed(claim);
    return true;
  }

  private async filterOrphans<Key extends string>(keys: Key[]): Promise<Key[]> {
    const existing = await this.deps.blobs.findExisting(keys.map(hashOfKey));
    return keys.filter((key) => !existing.has(hashOfKey(key)));
  }
}

/** The hexadecimal SHA-256 at the start of a key. */
function hashOfKey(key: string): string {
  return key.slice(0, 64);
}
