import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { type Blobs } from '../../db/images/blob-repository.js';
import { type Images, type StoredImage } from '../../db/images/image-repository.js';
import { type ImageStore, NotStored, originalKey } from '../../storage/image-store.js';
import { type HttpClient } from '../../net/http-client.js';

const PAGE = 500;
const FIRST_ID = '00000000-0000-0000-0000-000000000000';
/** Bytes that are newer can belong to a picture that is just being brought in. */
const SETTLED_AFTER_MS = 3_600_000;
const DOWNLOAD_TIMEOUT_MS = 30_000;

export type StoreFault = 'missing' | 'corrupt' | 'orphaned';

/** What is wrong with one stored content. */
export interface StoreFinding {
  fault: StoreFault;
  /** A key of the store. */
  key: string;
  /** The images that need it; empty for an orphan. */
  imageIds: string[];
  /** Whether it was mended. */
  repaired: boolean;
}

export interface StoreReport {
  images: number;
  contents: number;
  findings: StoreFinding[];
}

/**
 * Compares the store with the images: every content is read and hashed again. With `repair`, contents that are missing or
 * corrupt are fetched from the upstream's link, if that still gives the very same bytes, and orphans are removed.
 */
export class StoreCheck {
  constructor(
    private readonly images: Images,
    private readonly blobs: Blobs,
    private readonly store: ImageStore,
    private readonly http: HttpClient,
    private readonly maxBytes: number,
  ) {}

  async run(repair: boolean): Promise<StoreReport> {
    const report: StoreReport = { images: 0, contents: 0, findings: [] };
    const imagesOf = await this.readImages(report);
    report.contents = imagesOf.size;
    for (const [sha256, images] of imagesOf) {
      const fault = await this.faultOf(sha256);
      if (!fault) continue;
      const repaired = repair && (await this.fetchAgain(sha256, images, fault));
      report.findings.push({ fault, key: sha256, imageIds: images.map(({ id }) => id), repaired });
    }
    for await (const key of this.orphans()) {
      if (repair) await this.store.remove([key]);
      report.findings.push({ fault: 'orphaned', key, imageIds: [], repaired: repair });
    }
    return report;
  }

  private async readImages(report: StoreReport): Promise<Map<string, StoredImage[]>> {
    const imagesOf = new Map<string, StoredImage[]>();
    for (let after = FIRST_ID; ;) {
      const page = await this.images.listStored(after, PAGE);
      for (const image of page) imagesOf.set(image.sha256, [...(imagesOf.get(image.sha256) ?? []), image]);
      report.images += page.length;
      const last = page.at(-1);
      if (!last) return imagesOf;
      after = last.id;
    }
  }

  private async faultOf(sha256: string): Promise<StoreFault | null> {
    try {
      const hash = createHash('sha256');
      await pipeline(await this.store.open(originalKey(Buffer.from(sha256, 'hex'))), hash);
      return hash.digest('hex') === sha256 ? null : 'corrupt';
    } catch (error) {
      if (error instanceof NotStored) return 'missing';
      throw error;
    }
  }

  private async fetchAgain(sha256: string, images: StoredImage[], fault: StoreFault): Promise<boolean> {
    const key = originalKey(Buffer.from(sha256, 'hex'));
    for (const { upstreamUrl } of images) {
      if (upstreamUrl === null) continue;
      const path = await this.store.temporaryFile();
      try {
        const limits = { maxBytes: this.maxBytes, timeoutMs: DOWNLOAD_TIMEOUT_MS };
        const reply = await this.http.download(upstreamUrl, path, limits).catch(() => null);
        if (reply?.file?.sha256.toString('hex') !== sha256) continue;
        if (fault === 'corrupt') await this.store.remove([key]);
        await this.store.put(key, path);
        return true;
      } finally {
        await rm(path, { force: true });
      }
    }
    return false;
  }

  /** Files of contents that have no row, which nobody will ever look for. */
  private async *orphans() {
    let page = [];
    for await (const file of this.store.list()) {
      if (Date.now() - file.modifiedAt.getTime() < SETTLED_AFTER_MS) continue;
      page.push(file.key);
      if (page.length < PAGE) continue;
      yield* await this.withoutRow(page);
      page = [];
    }
    yield* await this.withoutRow(page);
  }

  private async withoutRow<Key extends string>(keys: Key[]): Promise<Key[]> {
    const known = await this.blobs.known(keys.map(contentOf));
    return keys.filter((key) => !known.has(contentOf(key)));
  }
}

/** The hex SHA-256 that a key begins with. */
function contentOf(key: string): string {
  return key.slice(0, 64);
}
