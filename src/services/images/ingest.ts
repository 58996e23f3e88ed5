import { rm } from 'node:fs/promises';
import { type Logger } from 'pino';
import { crashPoint } from '../../core/primitives/crash-points.js';
import { PictureUnavailable, StoreUnavailable } from '../../core/errors.js';
import { ACTORS } from '../../core/events/task-event.js';
import { type Image } from '../../core/images/image.js';
import { type Blobs } from '../../db/images/blob-repository.js';
import { type Images } from '../../db/images/image-repository.js';
import { type EventLog } from '../../event-log/event-log.js';
import { inspectPicture } from '../../storage/processing/inspect-image.js';
import { type ImageStore, originalKey } from '../../storage/image-store.js';
import { AddressRefused } from '../../net/guard.js';
import { type DownloadedFile, FileNotWritten, type HttpClient } from '../../net/http-client.js';
import { BodyTooLarge, RequestFailed } from '../../net/request-failed.js';
import { persistently } from '../database-retry.js';

const DOWNLOAD_TIMEOUT_MS = 30_000;
/** With the queue's backoff of e^n seconds the last one is 28 minutes after the first: longer than links are known to live. */
const MAX_LINK_ATTEMPTS = 8;

/** Brings finished pictures into our own store. Bytes go through a file, so memory does not grow with their size. */
export class Pictures {
  /** One flight per image, whether the job or an impatient browser asked for it. */
  private readonly inFlight = new Map<string, Promise<void>>();

  constructor(
    private readonly images: Images,
    private readonly blobs: Blobs,
    private readonly store: ImageStore,
    private readonly http: HttpClient,
    private readonly events: EventLog,
    private readonly maxBytes: number,
    private readonly log: Logger,
  ) {}

  /**
   * Stores every picture of the task that is not stored yet. A picture that will never be had is given up as IMAGE_LOST,
   * at the latest after 8 attempts. Throws PictureUnavailable or StoreUnavailable when another attempt can help.
   */
  async storeAll(taskId: string, attempt: number): Promise<void> {
    await persistently(() => this.storeWhatIsLeft(taskId, attempt), this.log);
  }

  private async storeWhatIsLeft(taskId: string, attempt: number): Promise<void> {
    const images = await this.images.findOfTask(taskId);
    const results = await Promise.allSettled(images.map((image) => this.storeOnce(image)));
    let again: Error | null = null;
    for (const [index, result] of results.entries()) {
      const image = images[index];
      if (result.status === 'fulfilled' || !image) continue;
      const reason: unknown = result.reason;
      const hopeless =
        reason instanceof PictureUnavailable && (attempt >= MAX_LINK_ATTEMPTS || !reason.retryable);
      if (hopeless) await this.images.markLost(image, reason.message, ACTORS.store);
      else again = reason instanceof Error ? reason : new Error('storing failed', { cause: reason });
    }
    this.events.sealSoon();
    if (again) throw again;
  }

  /** Stores one picture unless it is settled; who asks at the same time waits for the same flight. Throws as `storeAll`. */
  async storeOnce(image: Image): Promise<void> {
    if (image.storedAt || image.lostAt || image.deletedAt || image.upstreamUrl === null) return;
    let flight = this.inFlight.get(image.id);
    if (!flight) {
      flight = this.bringIn(image, image.upstreamUrl).finally(() => this.inFlight.delete(image.id));
      this.inFlight.set(image.id, flight);
    }
    return flight;
  }

  private async bringIn(image: Image, url: string): Promise<void> {
    const path = await this.store.temporaryFile();
    try {
      const { sha256, byteSize } = await this.download(url, path);
      crashPoint('picture-downloaded');
      const facts = await inspectPicture(path);
      const announcedUntil = await this.blobs.touch(sha256);
      await this.store.put(originalKey(sha256), path);
      crashPoint('picture-put');
      const stored = { ...facts, sha256, byteSize };
      if (!(await this.images.markStored(image, stored, announcedUntil, ACTORS.store)))
        throw new StoreUnavailable('storing a picture took so long that its bytes may be gone again');
      this.events.sealSoon();
      this.log.debug({ imageId: image.id, byteSize }, 'a picture was stored');
    } finally {
      await rm(path, { force: true });
    }
  }

  private async download(url: string, path: string): Promise<DownloadedFile> {
    const limits = { maxBytes: this.maxBytes, timeoutMs: DOWNLOAD_TIMEOUT_MS };
    const reply = await this.http.download(url, path, limits).catch((error: unknown) => {
      if (error instanceof FileNotWritten)
        throw new StoreUnavailable('no file can be written', { cause: error });
      const cause = error instanceof RequestFailed ? error.cause : null;
      const why =
        (cause instanceof AddressRefused && cause.reason) ||
        (cause instanceof BodyTooLarge && `it gives more than ${cause.maxBytes} bytes`);
      if (why)
        throw new PictureUnavailable(`The upstream's link was refused: ${why}.`, false, { cause: error });
      throw new PictureUnavailable("The upstream's link could not be read.", true, { cause: error });
    });
    if (reply.file) return reply.file;
    const retryable = reply.status >= 500 || reply.status === 429 || reply.status === 404;
    throw new PictureUnavailable(`The upstream's link answered ${reply.status}.`, retryable);
  }
}
