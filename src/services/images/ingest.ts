import { rm } from 'node:fs/promises';
import { SingleFlights } from '../../core/primitives/async.js';
import { crashIfArmed } from '../../core/primitives/crash-points.js';
import { ImageUnavailable, StoreUnavailable } from '../../core/errors.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import { type Image } from '../../core/images/image.js';
import { inspectImage } from '../../storage/processing/inspect-image.js';
import { originalKey } from '../../storage/image-store.js';
import { UrlRefused } from '../../net/ssrf-guard.js';
import { type DownloadedFile, FileWriteFailed } from '../../net/body.js';
import { BodyTooLarge, RequestFailed } from '../../net/request-failed.js';
import { retryUntilDatabaseReturns } from '../../db/postgres/database-retry.js';
import { type Dependencies } from '../dependencies.js';

const DOWNLOAD_TIMEOUT_MS = 30_000;
/**
 * With the queue's backoff of e^n seconds, the last attempt is 29 minutes after the first. Upstream URLs are not
 * known to live longer.
 */
const MAX_DOWNLOAD_ATTEMPTS = 8;

export interface ImageIngestDependencies extends Pick<
  Dependencies,
  'blobs' | 'eventLog' | 'http' | 'images' | 'log' | 'store'
> {
  maxBytes: number;
}

/**
 * Copies finished images from the upstream into the store. Bytes go through a file, so memory does not grow with
 * their size.
 */
export class ImageIngest {
  /** By image ID. The job and browsers that request the same image share the work. */
  private readonly ingestsInProgress = new SingleFlights<string, void>();

  constructor(private readonly deps: ImageIngestDependencies) {}

  /**
   * Ingests every image of the task that is not stored yet. An image that cannot be downloaded is marked as lost, at
   * the latest after 8 attempts. Throws ImageUnavailable or StoreUnavailable when another attempt can help.
   */
  async ingestTaskImages(taskId: string, attempt: number): Promise<void> {
    await retryUntilDatabaseReturns(() => this.ingestRemaining(taskId, attempt), this.deps.log);
  }

  private async ingestRemaining(taskId: string, attempt: number): Promise<void> {
    const images = await this.deps.images.findByTask(taskId);
    const results = await Promise.allSettled(images.map((image) => this.ingestOrGiveUp(image, attempt)));
    this.deps.eventLog.requestSeal();
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
  }

  private async ingestOrGiveUp(image: Image, attempt: number): Promise<void> {
    try {
      await this.ingestOnce(image);
    } catch (error) {
      const isLost =
        error instanceof ImageUnavailable && (attempt >= MAX_DOWNLOAD_ATTEMPTS || !error.retryable);
      if (!isLost) throw error;
      await this.deps.images.markLost(image, error.message, EVENT_ACTORS.imageStore);
    }
  }

  /**
   * Ingests one image unless it is stored, lost or deleted. Concurrent calls for one image share the work. Throws as
   * `ingestTaskImages` does.
   */
  async ingestOnce(image: Image): Promise<void> {
    const { id, upstreamUrl, storedAt, lostAt, deletedAt } = image;
    if (storedAt || lostAt || deletedAt || upstreamUrl === null) return;
    await this.ingestsInProgress.run(id, () => this.downloadAndStore(image, upstreamUrl));
  }

  private async downloadAndStore(image: Image, url: string): Promise<void> {
    const path = await this.deps.store.incoming.createPath();
    try {
      const { sha256, byteSize } = await this.download(url, path);
      crashIfArmed('image-downloaded');
      const properties = await inspectImage(path);
      const protectedUntil = await this.deps.blobs.protect(sha256);
      await this.deps.store.put(originalKey(sha256), path);
      crashIfArmed('image-bytes-stored');
      const isStored = await this.deps.images.markStored(image, {
        properties: { ...properties, sha256, byteSize },
        protectedUntil,
        actor: EVENT_ACTORS.imageStore,
      });
      if (!isStored)
        throw new StoreUnavailable(
          'storing an image took so long that its bytes may have been removed again',
        );
      this.deps.eventLog.requestSeal();
      this.deps.log.debug({ imageId: image.id, byteSize }, 'image stored');
    } finally {
      await rm(path, { force: true });
    }
  }

  private async download(url: string, path: string): Promise<DownloadedFile> {
    const limits = { maxBytes: this.deps.maxBytes, timeoutMs: DOWNLOAD_TIMEOUT_MS };
    const response = await this.deps.http.download(url, path, limits).catch((error: unknown) => {
      if (error instanceof FileWriteFailed)
        throw new StoreUnavailable('a file cannot be written', { cause: error });
      const cause = error instanceof RequestFailed ? error.cause : null;
      const reason =
        (cause instanceof UrlRefused && cause.reason) ||
        (cause instanceof BodyTooLarge && `it serves more than ${cause.maxBytes} bytes`);
      if (reason)
        throw new ImageUnavailable(`The upstream's image URL was refused: ${reason}.`, {
          retryable: false,
          cause: error,
        });
      throw new ImageUnavailable("The upstream's image URL could not be read.", {
        retryable: true,
        cause: error,
      });
    });
    if (response.body) return response.body;
    const retryable = response.status >= 500 || response.status === 429 || response.status === 404;
    throw new ImageUnavailable(`The upstream's image URL answered with status ${response.status}.`, {
      retryable,
    });
  }
}
