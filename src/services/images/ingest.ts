import { rm } from 'node:fs/promises';
import { type Logger } from 'pino';
import { SingleFlights } from '../../core/primitives/async.js';
import { crashIfArmed } from '../../core/primitives/crash-points.js';
import { ImageUnavailable, StoreUnavailable } from '../../core/errors.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import { type Image } from '../../core/images/image.js';
import { type BlobRepository } from '../../db/images/blob-repository.js';
import { type ImageRepository } from '../../db/images/image-repository.js';
import { type EventLog } from '../../event-log/event-log.js';
import { inspectImage } from '../../storage/processing/inspect-image.js';
import { type ImageStore, originalKey } from '../../storage/image-store.js';
import { UrlRefused } from '../../net/ssrf-guard.js';
import { type DownloadedFile, FileWriteFailed, type HttpClient } from '../../net/http-client.js';
import { BodyTooLarge, RequestFailed } from '../../net/request-failed.js';
import { retryUntilDatabaseReturns } from '../database-retry.js';

const DOWNLOAD_TIMEOUT_MS = 30_000;
/**
 * With the queue's backoff of e^n seconds, the last attempt is 28 minutes after the first. Upstream URLs are not
 * known to live longer.
 */
const MAX_DOWNLOAD_ATTEMPTS = 8;

/**
 * Copies finished images from the upstream into the store. Bytes go through a file, so memory does not grow with
 * their size.
 */
export class ImageIngest {
  /** By image ID. The job and browsers that request the same image share the work. */
  private readonly ingestsInProgress = new SingleFlights<string, void>();

  constructor(
    private readonly images: ImageRepository,
    private readonly blobs: BlobRepository,
    private readonly store: ImageStore,
    private readonly http: HttpClient,
    private readonly events: EventLog,
    private readonly maxBytes: number,
    private readonly log: Logger,
  ) {}

  /**
   * Ingests every image of the task that is not stored yet. An image that cannot be downloaded is marked as lost, at
   * the latest after 8 attempts. Throws ImageUnavailable or StoreUnavailable when another attempt can help.
   */
  async ingestTaskImages(taskId: string, attempt: number): Promise<void> {
    await retryUntilDatabaseReturns(() => this.ingestRemaining(taskId, attempt), this.log);
  }

  private async ingestRemaining(taskId: string, attempt: number): Promise<void> {
    const images = await this.images.findByTask(taskId);
    const results = await Promise.allSettled(images.map((image) => this.ingestOnce(image)));
    let retryError: Error | null = null;
    for (const [index, result] of results.entries()) {
      const image = images[index];
      if (result.status === 'fulfilled' || !image) continue;
      const reason: unknown = result.reason;
      const isPermanent =
        reason instanceof ImageUnavailable && (attempt >= MAX_DOWNLOAD_ATTEMPTS || !reason.retryable);
      if (isPermanent) await this.images.markLost(image, reason.message, EVENT_ACTORS.imageStore);
      else
        retryError =
          reason instanceof Error ? reason : new Error('Ingesting an image failed.', { cause: reason });
    }
    this.events.requestSeal();
    if (retryError) throw retryError;
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
    const path = await this.store.createTemporaryPath();
    try {
      const { sha256, byteSize } = await this.download(url, path);
      crashIfArmed('image-downloaded');
      const properties = await inspectImage(path);
      const protectedUntil = await this.blobs.protect(sha256);
      await this.store.put(originalKey(sha256), path);
      crashIfArmed('image-bytes-stored');
      const isStored = await this.images.markStored(image, {
        properties: { ...properties, sha256, byteSize },
        protectedUntil,
        actor: EVENT_ACTORS.imageStore,
      });
      if (!isStored)
        throw new StoreUnavailable(
          'storing an image took so long that its bytes may have been removed again',
        );
      this.events.requestSeal();
      this.log.debug({ imageId: image.id, byteSize }, 'image stored');
    } finally {
      await rm(path, { force: true });
    }
  }

  private async download(url: string, path: string): Promise<DownloadedFile> {
    const limits = { maxBytes: this.maxBytes, timeoutMs: DOWNLOAD_TIMEOUT_MS };
    const response = await this.http.download(url, path, limits).catch((error: unknown) => {
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
    if (response.file) return response.file;
    const retryable = response.status >= 500 || response.status === 429 || response.status === 404;
    throw new ImageUnavailable(`The upstream's image URL answered with status ${response.status}.`, {
      retryable,
    });
  }
}
