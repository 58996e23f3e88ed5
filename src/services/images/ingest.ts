import { LRUCache } from 'lru-cache';
import { SingleFlights } from '../../core/primitives/async.js';
import { FairSlots, NoFreeSlot } from '../../core/limits/fair-slots.js';
import { crashIfArmed } from '../../core/primitives/crash-points.js';
import { DatabaseUnavailable, ImageUnavailable, StoreUnavailable } from '../../core/errors.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import {
  type DecodedProperties,
  type Image,
  UNDECODABLE_MIME_TYPE,
  type UndecodableProperties,
} from '../../core/images/image.js';
import { linkExpiry } from '../../core/images/link-expiry.js';
import { databaseTimeMs } from '../../core/primitives/clock.js';
import { type IngestPostponement, type PendingImage } from '../../db/images/image-repository.js';
import { inspectImage } from '../../storage/processing/inspect-image.js';
import { originalKey } from '../../storage/image-store.js';
import { UrlRefused } from '../../net/ssrf-guard.js';
import { type DownloadedFile, FileWriteFailed } from '../../net/body.js';
import { HOST_PROBE_DELAY_MS, HostBreakers, HostSilent } from '../../net/host-breakers.js';
import { BodyTooLarge, RequestFailed } from '../../net/request-failed.js';
import { retryUntilDatabaseReturns } from '../../db/postgres/database-retry.js';
import { type Dependencies } from '../dependencies.js';
import { protectBytes } from './protect-bytes.js';

const DOWNLOAD_TIMEOUT_MS = 30_000;
/**
 * With a delay of e^n seconds after the n-th failure, the last attempt is 29 minutes after the first. Upstream URLs are
 * not known to live longer.
 */
const MAX_SOURCE_FAILURES = 8;
/** A store that comes back is noticed within this time. */
const MAX_STORE_DELAY_MS = 60_000;
/** After a failure of the store, nothing is downloaded only to be thrown away for this long. */
const STORE_PAUSE_MS = 2_000;
/**
 * Ingest jobs that may wait in the queue when the recurring job adds others. More than the instances ingest until its next run, and
 * so few that new images do not wait long behind them after an outage.
 */
const MAX_WAITING_JOBS = 200;
/** Downloads of an instance for viewers at the same time, beside those of its jobs. A page shows dozens of images at once. */
export const MAX_VIEWER_DOWNLOADS = 16;
/** The same for a workspace. */
const MAX_VIEWER_DOWNLOADS_PER_WORKSPACE = 4;
/** Less than browsers wait for an image. */
const MAX_VIEWER_WAIT_MS = 30_000;
/** A viewer gets the failure of the one before it for this long. */
const VIEWER_FAILURE_TTL_MS = 2_000;
const MAX_VIEWER_FAILURES = 1_000;
/** An image whose host cannot be reached waits for this share of its age. */
const UNREACHED_DELAY_SHARE = 0.1;
const MAX_UNREACHED_DELAY_MS = 60_000;

export interface ImageIngestDependencies extends Pick<
  Dependencies,
  'blobs' | 'eventLog' | 'http' | 'images' | 'log' | 'store'
> {
  maxBytes: number;
  /** How long a download may take. Default: 30 s. */
  downloadTimeoutMs?: number;
}

/**
 * Copies finished images from the upstream into the store. Bytes go through a file, so memory does not grow with
 * their size.
 */
export class ImageIngest {
  /** By image ID. The job and browsers that request the same image share the work. */
  private readonly ingestsInProgress = new SingleFlights<string, void>();

  /** By image ID. They wait for a slot, or have one. */
  private readonly viewersInProgress = new SingleFlights<string, void>();
  private readonly viewerSlots = new FairSlots({
    capacity: MAX_VIEWER_DOWNLOADS,
    maxPerOwner: MAX_VIEWER_DOWNLOADS_PER_WORKSPACE,
  });
  /** By image ID. */
  private readonly viewerFailures = new LRUCache<string, Error>({
    max: MAX_VIEWER_FAILURES,
    ttl: VIEWER_FAILURE_TTL_MS,
  });
  private readonly hosts: HostBreakers;

  /** When the store failed last, by the monotonic clock. */
  private storeFailedAt = -Infinity;

  constructor(private readonly deps: ImageIngestDependencies) {
    this.hosts = new HostBreakers(deps.log);
  }

  /**
   * Ingests the images of the task that are not stored yet, or those among them with these IDs. After a failure, an image
   * gets the time of its next attempt. After 8 failed downloads in a row it is marked as lost. While its source can be
   * downloaded and the store fails, its host is known not to respond, or our side of the network fails, it is kept for 7 days.
   */
  async ingestTaskImages(taskId: string, imageIds?: readonly string[]): Promise<void> {
    await retryUntilDatabaseReturns(() => this.ingestPending(taskId, imageIds), this.deps.log);
  }

  /** Queues jobs for images whose next attempt is due. The rows of the images are the queue, so that no image is forgotten. */
  async queueDue(): Promise<void> {
    await this.deps.images.queueDueIngests(MAX_WAITING_JOBS);
  }

  private async ingestPending(taskId: string, imageIds?: readonly string[]): Promise<void> {
    const pending = await this.deps.images.findPending(taskId);
    const images = imageIds ? pending.filter(({ id }) => imageIds.includes(id)) : pending;
    const results = await Promise.allSettled(images.map((image) => this.ingestOrPostpone(image)));
    this.deps.eventLog.requestSeal();
    const failure = results.find((result) => result.status === 'rejected');
    if (failure) throw failure.reason;
  }

  /**
   * Ingests an image that is requested before it is stored, without waiting for its job. Does nothing if it is stored, lost or
   * deleted. Throws ImageUnavailable when the image's source fails, and StoreUnavailable when the store does, has just failed, or
   * when too many other images are requested.
   */
  async ingestForViewer(image: Image): Promise<void> {
    const inProgress = this.ingestsInProgress.find(image.id);
    if (inProgress) return inProgress;
    await this.viewersInProgress.run(image.id, async () => {
      const request = { owner: image.workspaceId, maxWaitMs: MAX_VIEWER_WAIT_MS };
      try {
        await this.viewerSlots.run(request, () => this.ingestUnlessFailing(image));
      } catch (error) {
        if (!(error instanceof NoFreeSlot)) throw error;
        // Its job may have stored it in the meantime.
        if (await this.findPending(image))
          throw new StoreUnavailable('too many other images are being stored', { cause: error });
      }
    });
  }

  private async ingestUnlessFailing({ id, taskId }: Image): Promise<void> {
    const image = await this.findPending({ id, taskId });
    if (!image) return;
    const failure = this.viewerFailures.get(id);
    if (failure) throw failure;
    if (this.isStorePaused) throw new StoreUnavailable('storing an image has just failed');
    try {
      // Its job may join this attempt, which must not be less tolerant than its own.
      await this.ingestOnce(image, image.sourceFailures);
    } catch (error) {
      if (error instanceof ImageUnavailable) this.viewerFailures.set(id, error);
      throw error;
    }
  }

  private async findPending({ id, taskId }: Pick<Image, 'id' | 'taskId'>): Promise<PendingImage | undefined> {
    if (taskId === null) return undefined;
    return (await this.deps.images.findPending(taskId)).find((image) => image.id === id);
  }

  private get isStorePaused(): boolean {
    return performance.now() - this.storeFailedAt < STORE_PAUSE_MS;
  }

  private async ingestOrPostpone(image: PendingImage): Promise<void> {
    const { sourceFailures, storeFailures } = image;
    if (this.isStorePaused) {
      const delayMs = storeDelayMs(storeFailures + 1);
      await this.postpone(image, { sourceFailures, storeFailures: storeFailures + 1, delayMs });
      return;
    }
    try {
      await this.ingestOnce(image, sourceFailures);
    } catch (error) {
      if (error instanceof DatabaseUnavailable) throw error;
      const context = { err: error, imageId: image.id, taskId: image.taskId };
      this.deps.log[isHostSilent(error) ? 'debug' : 'warn'](context, 'an image was not stored');
      await this.recordFailure(image, error);
    }
  }

  /** Only failures of the source can make an image lost. Any other failure is ours. */
  private async recordFailure(image: PendingImage, error: unknown): Promise<void> {
    if (!(error instanceof ImageUnavailable)) {
      const storeFailures = image.storeFailures + 1;
      const delayMs = storeDelayMs(storeFailures);
      await this.postpone(image, { sourceFailures: 0, storeFailures, delayMs });
      return;
    }
    const { storeFailures } = image;
    if (isHostSilent(error) || isOurNetwork(error, image)) {
      // Nothing was requested, so it says nothing about this image.
      const delayMs = unreachedDelayMs(databaseTimeMs() - image.createdAt.getTime());
      await this.postpone(image, { sourceFailures: image.sourceFailures, storeFailures, delayMs });
      return;
    }
    const sourceFailures = image.sourceFailures + 1;
    if (!error.retryable || sourceFailures >= MAX_SOURCE_FAILURES) await this.markLost(image, error.message);
    else
      await this.postpone(image, {
        sourceFailures,
        storeFailures,
        delayMs: Math.exp(sourceFailures) * 1_000,
      });
  }

  private async postpone(image: PendingImage, postponement: IngestPostponement): Promise<void> {
    if (await this.deps.images.postponeIngest(image, postponement)) return;
    await this.markLost(image, 'The image could not be stored for 7 days.');
  }

  /** The link is kept, because it may work for others, such as a browser. */
  private async markLost(image: PendingImage, reason: string): Promise<void> {
    const expiresAt = linkExpiry(image.upstreamUrl);
    const advice = expiresAt
      ? `The upstream's link works until ${expiresAt.toISOString()}.`
      : "The upstream's link may still work, and does not say until when.";
    await this.deps.images.markLost(image, `${reason} ${advice}`, EVENT_ACTORS.imageStore);
  }

  /**
   * Ingests one image unless it is stored, lost or deleted. Concurrent calls for one image share the work. Bytes that cannot be
   * decoded are stored if the download has failed before. Throws ImageUnavailable when the image's source fails, and
   * StoreUnavailable when the store does.
   */
  private async ingestOnce(image: Image, sourceFailures = 0): Promise<void> {
    const { id, upstreamUrl, storedAt, lostAt, deletedAt } = image;
    if (storedAt || lostAt || deletedAt || upstreamUrl === null) return;
    await this.ingestsInProgress.run(id, () => this.downloadAndStore(image, upstreamUrl, sourceFailures));
  }

  /** For work of the store or of the disk. Other failures say nothing of other images. */
  private async watchStore<Result>(work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof StoreUnavailable) this.storeFailedAt = performance.now();
      throw error;
    }
  }

  private async downloadAndStore(image: Image, url: string, sourceFailures: number): Promise<void> {
    const { store } = this.deps;
    const path = await this.watchStore(() => store.incoming.createPath());
    try {
      // PostgreSQL may use the same disk.
      await this.watchStore(() => store.incoming.requireFreeSpace());
      const { sha256, byteSize } = await this.watchStore(() => this.download(url, path));
      crashIfArmed('image-downloaded');
      const properties = await inspectOrKeep(path, image, sourceFailures);
      const protectedUntil = await protectBytes(this.deps.blobs, sha256);
      await this.watchStore(() => store.put(originalKey(sha256), path));
      this.storeFailedAt = -Infinity;
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
      await store.incoming.remove(path);
    }
  }

  private async download(url: string, path: string): Promise<DownloadedFile> {
    const { maxBytes, downloadTimeoutMs: timeoutMs = DOWNLOAD_TIMEOUT_MS } = this.deps;
    const limits = { maxBytes, timeoutMs, files: this.deps.store.incoming };
    const download = () => this.deps.http.download(url, path, limits);
    const response = await this.hosts.run(url, download).catch((error: unknown) => {
      if (error instanceof FileWriteFailed)
        throw new StoreUnavailable('a file cannot be written', { cause: error });
      const cause = error instanceof RequestFailed ? error.cause : null;
      const reason =
        (cause instanceof UrlRefused && cause.reason) ||
        (cause instanceof BodyTooLarge && `it serves more than ${cause.maxBytes} bytes`);
      if (reason)
        throw new ImageUnavailable(`The upstream's image URL was refused: ${reason}.`, {
          retryable: cause instanceof UrlRefused && cause.mayChange,
          cause: error,
        });
      const isSilent = error instanceof HostSilent;
      throw new ImageUnavailable(
        `The upstream's image ${isSilent ? 'host does not respond' : 'URL could not be read'}.`,
        {
          retryable: true,
          cause: error,
        },
      );
    });
    // Some stores serve an empty file before the real one is visible.
    if (response.body?.byteSize === 0)
      throw new ImageUnavailable("The upstream's image URL served an empty file.", { retryable: true });
    if (response.body) return response.body;
    // Object stores answer 403 or 404 before an object is visible everywhere, and hosts refuse some requests for a while.
    const retryable = response.status !== 410 && !(response.status < 500 && hasExpired(url));
    throw new ImageUnavailable(`The upstream's image URL answered with status ${response.status}.`, {
      retryable,
    });
  }
}

/** Whether a link says that it does not work any more. The clocks may differ by a minute. */
function hasExpired(url: string): boolean {
  const expiresAt = linkExpiry(url);
  return expiresAt !== null && expiresAt.getTime() < databaseTimeMs() - 60_000;
}

/**
 * Properties of a downloaded file. What was paid for is kept even if it cannot be decoded. It is downloaded once more before,
 * because some hosts serve an error page with status 200 for a moment.
 */
async function inspectOrKeep(
  path: string,
  { workspaceId }: Image,
  sourceFailures: number,
): Promise<DecodedProperties | UndecodableProperties> {
  try {
    return await inspectImage(path, { workspaceId, isPaid: true });
  } catch (error) {
    if (!(error instanceof ImageUnavailable)) throw error;
    const keepAfterFailures = error.retryable ? MAX_SOURCE_FAILURES - 1 : 1;
    if (sourceFailures < keepAfterFailures)
      throw new ImageUnavailable(error.message, { retryable: true, cause: error });
    const mimeType = UNDECODABLE_MIME_TYPE;
    return { width: null, height: null, mimeType, thumbhash: null, decodeError: error.message };
  }
}

function isHostSilent(error: unknown): boolean {
  return error instanceof ImageUnavailable && error.cause instanceof HostSilent;
}

/**
 * Whether the source was not reached for a reason that may be on our side. Once its link has expired, no network that comes back
 * helps the image.
 */
function isOurNetwork(error: ImageUnavailable, { upstreamUrl }: Image): boolean {
  const isOurs = error.cause instanceof RequestFailed && error.cause.mayBeOurs;
  return isOurs && upstreamUrl !== null && !hasExpired(upstreamUrl);
}

/** Time until the next attempt of an image whose host cannot be reached. Old images wait longer, because they may be many. */
function unreachedDelayMs(ageMs: number): number {
  const delayMs = Math.min(
    Math.max(ageMs * UNREACHED_DELAY_SHARE, HOST_PROBE_DELAY_MS),
    MAX_UNREACHED_DELAY_MS,
  );
  return delayMs * (1 + Math.random() / 4);
}

/** Time until the next attempt after the `failures`-th failure of the store: 1 s, doubled each time, up to a minute. */
function storeDelayMs(failures: number): number {
  const delayMs = Math.min(MAX_STORE_DELAY_MS, 1_000 * 2 ** Math.min(failures - 1, 10));
  return delayMs * (1 + Math.random() / 4);
}
