import { type Readable } from 'node:stream';
import { type Logger } from 'pino';
import { crashPoint } from '../core/crash-points.js';
import { NotFound, PictureUnavailable } from '../core/errors.js';
import { ACTORS } from '../core/events.js';
import { isId } from '../core/ids.js';
import { type Image } from '../core/image.js';
import { type Images } from '../db/images.js';
import { type EventLog } from '../events/log.js';
import { type DiskStore } from '../images/disk-store.js';
import { inspectPicture } from '../images/inspect.js';
import { type HttpClient } from '../net/http-client.js';
import { persistently } from './persistently.js';

/** A stored picture, ready to be served. */
export interface ServedPicture {
  /** Hex SHA-256 of the bytes: the same for as long as the picture exists. */
  sha256: string;
  mimeType: string;
  byteSize: number;
  open(range?: { start: number; end: number }): Readable;
}

/** Four times the largest PNG that a 1440 x 1440 picture can be. */
const MAX_IMAGE_BYTES = 50 * 1024 * 1024;
const DOWNLOAD_TIMEOUT_MS = 30_000;
/** With the queue's backoff of e^n seconds the last one is 28 minutes after the first: longer than links are known to live. */
const MAX_LINK_ATTEMPTS = 8;

/** Brings finished pictures into our own store and serves them from there. */
export class Pictures {
  /** One flight per image, whether the job or an impatient browser asked for it. */
  private readonly inFlight = new Map<string, Promise<void>>();

  constructor(
    private readonly images: Images,
    private readonly store: DiskStore,
    private readonly http: HttpClient,
    private readonly events: EventLog,
    private readonly log: Logger,
  ) {}

  /**
   * Stores every picture of the task that is not stored yet. A picture that will never be had is given up as IMAGE_LOST,
   * at the latest after 8 attempts. Throws PictureUnavailable when another attempt can help.
   */
  async storeAll(taskId: string, attempt: number): Promise<void> {
    await persistently(() => this.storeWhatIsLeft(taskId, attempt), this.log);
  }

  private async storeWhatIsLeft(taskId: string, attempt: number): Promise<void> {
    const images = await this.images.findByTasks([taskId]);
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

  /**
   * The picture with this id, for whoever knows the id. One that is known but not stored yet is fetched first. Throws
   * NotFound, or PictureUnavailable when the upstream's link does not give it.
   */
  async serve(imageId: string): Promise<ServedPicture> {
    const notFound = new NotFound('There is no picture at this address.');
    if (!isId(imageId)) throw notFound;
    let image = await this.images.find(imageId);
    if (image && !image.storedAt && !image.lostAt) {
      await this.storeOnce(image);
      this.events.sealSoon();
      image = await this.images.find(imageId);
    }
    if (!image?.sha256 || !image.mimeType || image.byteSize === null) throw notFound;
    const { sha256, mimeType, byteSize } = image;
    const open: ServedPicture['open'] = (range) => this.store.open(sha256, range);
    return { sha256: Buffer.from(sha256).toString('hex'), mimeType, byteSize, open };
  }

  private async storeOnce(image: Image): Promise<void> {
    if (image.storedAt || image.lostAt) return;
    let flight = this.inFlight.get(image.id);
    if (!flight) {
      flight = this.bringIn(image).finally(() => this.inFlight.delete(image.id));
      this.inFlight.set(image.id, flight);
    }
    return flight;
  }

  private async bringIn(image: Image): Promise<void> {
    const bytes = await this.download(image.upstreamUrl);
    crashPoint('picture-downloaded');
    const facts = await inspectPicture(bytes);
    await this.store.put(facts.sha256, bytes);
    crashPoint('picture-put');
    await this.images.markStored(image, facts, ACTORS.store);
    this.log.debug({ imageId: image.id, byteSize: facts.byteSize }, 'a picture was stored');
  }

  private async download(url: string): Promise<Buffer> {
    const limits = { maxBytes: MAX_IMAGE_BYTES, timeoutMs: DOWNLOAD_TIMEOUT_MS };
    const reply = await this.http.get(url, limits).catch((error: unknown) => {
      throw new PictureUnavailable("The upstream's link could not be read.", true, { cause: error });
    });
    if (reply.status === 200) return reply.body;
    const retryable = reply.status >= 500 || reply.status === 429 || reply.status === 404;
    throw new PictureUnavailable(`The upstream's link answered ${reply.status}.`, retryable);
  }
}
