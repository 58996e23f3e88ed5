import { createHash } from 'node:crypto';
import { pipeline } from 'node:stream/promises';
import { type StoredImage } from '../../db/images/image-repository.js';
import { allStoreKeys, NotStored, originalKey, type StoreKey } from '../../storage/image-store.js';
import { type Dependencies } from '../dependencies.js';
import { protectBytes } from './protect-bytes.js';
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
 * downloaded again from the upstream's URL if it still serves the same bytes, and orphaned files are removed. A blob that cannot be
 * downloaded keeps all its files: what is left of the original, and its variants, which may be its last good copies.
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
      const repaired = repair && (await this.restore(sha256, images));
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

  /** Downloads the original again, and then removes its variants, so that those are made again. */
  private async restore(sha256: string, images: StoredImage[]): Promise<boolean> {
    const hash = Buffer.from(sha256, 'hex');
    if (!(await this.redownload(originalKey(hash), images))) return false;
    // What damaged the original may have damaged them too, and nothing else would notice.
    const [, ...variantKeys] = allStoreKeys(hash);
    await this.deps.store.remove(variantKeys);
    return true;
  }

  private async redownload(key: StoreKey, images: StoredImage[]): Promise<boolean> {
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
        const sha256 = response?.body?.sha256;
        if (sha256?.toString('hex') !== hashOfKey(key)) continue;
        // If its images were deleted meanwhile, retention removes it again.
        await protectBytes(this.deps.blobs, sha256);
        await this.deps.store.replace(key, path);
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
