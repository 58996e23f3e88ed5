import { type Readable } from 'node:stream';
import { databaseNow, databaseTimeMs } from '../../core/primitives/clock.js';
import { type Caller } from '../../core/access/caller.js';
import {
  BadRequest,
  Gone,
  InputRejected,
  LinkInvalid,
  ImageUnavailable,
  StoreUnavailable,
  TooManyConnections,
} from '../../core/errors.js';
import { isId, newId } from '../../core/primitives/ids.js';
import { type Image } from '../../core/images/image.js';
import { workspaceVisibility } from '../../core/access/visibility.js';
import { type Upload } from '../../db/images/upload-repository.js';
import { measureFile, writeStreamToFile } from '../../storage/write-stream.js';
import { inspectImage } from '../../storage/processing/inspect-image.js';
import { originalKey } from '../../storage/image-store.js';
import { normalizeUpload } from '../../storage/processing/normalize-upload.js';
import { requireCanCreate } from '../access/access.js';
import { type SignedLinks } from '../access/signed-links.js';
import { type Dependencies } from '../dependencies.js';
import { protectBytes } from './protect-bytes.js';
import { UploadBounds } from './upload-bounds.js';

/** Long enough to choose an image and send it over a slow connection. */
const UPLOAD_LINK_TTL_SECONDS = 900;
const MAX_FILE_NAME_LENGTH = 255;
const HOUR_MS = 3_600_000;
const REPLACED =
  'A newer upload to the same link has replaced this one, and failed. Send one upload at a time.';
const DELETE_BATCH_SIZE = 1_000;

/** A newer upload to the same link has begun. */
class UploadReplaced extends TooManyConnections {}

/** A signed link that accepts one image. */
export interface UploadLink {
  /** ID that the image will have. */
  imageId: string;
  url: string;
  maxBytes: number;
  expiresAt: Date;
}

interface UploadInProgress {
  /** Higher for those that arrived later. */
  arrival: number;
  /** Ends it, because a newer one has begun. */
  replace: () => void;
  /** The whole body is here. */
  isReceived: boolean;
  /** Resolves when the upload has succeeded or failed. */
  ended: Promise<void>;
}

export interface UploadsDependencies extends Pick<Dependencies, 'blobs' | 'images' | 'store' | 'uploads'> {
  signedLinks: SignedLinks;
  maxBytes: number;
}

/** Accepts images from users, so that they can be edited. */
export class Uploads {
  /** Bodies that this instance is receiving or storing, by link. */
  private readonly inProgress = new Map<string, UploadInProgress>();
  private arrivals = 0;
  private readonly bounds: UploadBounds;

  constructor(private readonly deps: UploadsDependencies) {
    this.bounds = new UploadBounds({ requireFreeSpace: () => deps.store.incoming.requireFreeSpace() });
  }

  /**
   * Creates an upload link. Throws InputRejected for an invalid file name, or Forbidden when the caller may not
   * create tasks.
   */
  async create(caller: Caller, fileName: string | null): Promise<{ upload: UploadLink }> {
    requireCanCreate(caller);
    if (fileName !== null && (fileName.length > MAX_FILE_NAME_LENGTH || fileName.includes('\0'))) {
      const message = `fileName must have at most ${MAX_FILE_NAME_LENGTH} characters and no NUL character. Shorten it, or leave it out.`;
      throw InputRejected.argument('INVALID_FILE_NAME', 'fileName', message);
    }
    const id = newId();
    const expiresAt = new Date(databaseTimeMs() + UPLOAD_LINK_TTL_SECONDS * 1000);
    await this.deps.uploads.insert({
      id,
      workspaceId: caller.workspaceId,
      actor: caller.keyName,
      fileName,
      endUserId: caller.endUserId,
      expiresAt,
    });
    return {
      upload: {
        imageId: id,
        url: this.deps.signedLinks.uploadUrl(id),
        maxBytes: this.deps.maxBytes,
        expiresAt,
      },
    };
  }

  /** Throws LinkInvalid, so that nothing is read from a client without a link. Whether the link expired, `receive` tells. */
  requireValidLink(uploadId: string, token: string): void {
    if (!isId(uploadId) || !this.deps.signedLinks.isValidUploadToken(uploadId, token))
      throw new LinkInvalid('This upload link is invalid. Request a new one with `createUpload`.');
  }

  /**
   * Stores the image that was sent to a link, after turning it upright and removing its metadata. Since a response
   * can be lost, using the link again returns the image that was created. One body of a link is received at a time: a newer
   * one replaces one that has not been received completely, and waits for one that has. All of them return the same
   * image. Throws LinkInvalid, Gone, PayloadTooLarge, StoreUnavailable, TooManyConnections when the one that replaced it
   * failed or when too many are in progress, or BadRequest when the body is not an image or arrives too slowly. After the last
   * four, the link can be used again.
   */
  async receive(uploadId: string, token: string, body: Readable): Promise<Image> {
    this.requireValidLink(uploadId, token);
    const arrival = ++this.arrivals;
    for (let isReplaced = false; ;) {
      const upload = await this.deps.uploads.find(uploadId);
      if (upload?.usedAt) return this.imageOf(upload);
      if (!upload || upload.expiresAt < databaseNow()) {
        throw new Gone('This upload link has expired. Request a new one with `createUpload`.');
      }
      const other = this.inProgress.get(uploadId);
      // PostgreSQL can answer a newer one first.
      if (other && other.arrival > arrival) isReplaced = true;
      if (other && (other.isReceived || isReplaced)) {
        await other.ended;
        continue;
      }
      // The upload that has replaced this one has failed.
      if (isReplaced) throw new TooManyConnections(REPLACED);
      try {
        return await this.receiveAlone(upload, body, { arrival, other });
      } catch (error) {
        if (!(error instanceof UploadReplaced)) throw error;
        isReplaced = true;
      }
    }
  }

  /**
   * Receives a body. Until this has ended, it is the only one of its link on this instance. It replaces one that is still on its
   * way, because a client that lost its connection sends again long before this service notices. Throws UploadReplaced
   * when it is replaced itself.
   */
  private async receiveAlone(
    upload: Upload,
    body: Readable,
    { arrival, other }: { arrival: number; other: UploadInProgress | undefined },
  ): Promise<Image> {
    let end = () => {};
    const ended = new Promise<void>((resolve) => (end = resolve));
    let isReplaced = false;
    const replace = () => {
      isReplaced = true;
      body.destroy(new UploadReplaced(REPLACED));
    };
    const current: UploadInProgress = { arrival, replace, isReceived: false, ended };
    this.inProgress.set(upload.id, current);
    const onReceived = () => {
      current.isReceived = true;
    };
    try {
      other?.replace();
      await other?.ended;
      if (isReplaced) throw new UploadReplaced(REPLACED);
      return await this.store(upload, body, onReceived);
    } finally {
      if (this.inProgress.get(upload.id) === current) this.inProgress.delete(upload.id);
      end();
    }
  }

  private async store(upload: Upload, source: Readable, onReceived: () => void): Promise<Image> {
    const { body, end } = this.bounds.begin(upload, source);
    try {
      return await this.storeBody(upload, body, onReceived);
    } finally {
      end();
    }
  }

  private async storeBody(upload: Upload, body: Readable, onReceived: () => void): Promise<Image> {
    const { id: uploadId, workspaceId } = upload;
    const turn = { workspaceId, isPaid: false };
    const receivedPath = await this.deps.store.incoming.createPath();
    const normalizedPath = await this.deps.store.incoming.createPath();
    try {
      await writeStreamToFile(body, receivedPath, this.deps.maxBytes);
      onReceived();
      await normalizeUpload(receivedPath, normalizedPath, turn);
      const properties = await inspectImage(normalizedPath, turn);
      const { sha256, byteSize } = await measureFile(normalizedPath);
      const protectedUntil = await protectBytes(this.deps.blobs, sha256);
      await this.deps.store.put(originalKey(sha256), normalizedPath);
      const isCompleted = await this.deps.uploads.complete(
        uploadId,
        { ...properties, sha256, byteSize },
        protectedUntil,
      );
      if (!isCompleted && !(await this.deps.uploads.find(uploadId))?.usedAt)
        throw new StoreUnavailable('storing the image took too long', { advice: 'Send it again.' });
      return await this.imageOf(upload);
    } catch (error) {
      throw error instanceof ImageUnavailable
        ? new BadRequest(`${error.message} Send another PNG, JPEG, WebP, GIF or AVIF image.`, {
            cause: error,
          })
        : error;
    } finally {
      await Promise.all([
        this.deps.store.incoming.remove(receivedPath),
        this.deps.store.incoming.remove(normalizedPath),
      ]);
    }
  }

  /** Deletes links that expired more than an hour ago. */
  async deleteExpired(): Promise<void> {
    const cutoff = new Date(databaseTimeMs() - HOUR_MS);
    while ((await this.deps.uploads.deleteExpiredBefore(cutoff, DELETE_BATCH_SIZE)) === DELETE_BATCH_SIZE);
  }

  private async imageOf({ id, workspaceId }: { id: string; workspaceId: string }): Promise<Image> {
    const [image] = await this.deps.images.findMany(workspaceVisibility(workspaceId), [id]);
    if (!image || image.deletedAt)
      throw new Gone('This image was deleted. Request a new upload link with `createUpload`.');
    return image;
  }
}
