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
} from '../../core/errors.js';
import { withTimeout } from '../../core/primitives/async.js';
import { deleteInBatches } from '../../core/primitives/delete-in-batches.js';
import { isId, newId } from '../../core/primitives/ids.js';
import { type Image } from '../../core/images/image.js';
import { workspaceVisibility } from '../../core/access/visibility.js';
import { type Upload } from '../../db/images/upload-repository.js';
import { REMOVAL_WAIT_MS } from '../../storage/incoming-files.js';
import { measureFile, writeStreamToFile } from '../../storage/write-stream.js';
import { inspectImage } from '../../storage/processing/inspect-image.js';
import { originalKey } from '../../storage/image-store.js';
import { normalizeUpload } from '../../storage/processing/normalize-upload.js';
import { requireCanCreate } from '../access/access.js';
import { type SignedLinks } from '../access/signed-links.js';
import { type Dependencies } from '../dependencies.js';
import { protectBytes } from './protect-bytes.js';
import { UploadBounds } from './upload-bounds.js';
import { UploadTurns } from './upload-turns.js';

/** Long enough to choose an image and send it over a slow connection. */
const UPLOAD_LINK_TTL_SECONDS = 900;
const MAX_FILE_NAME_LENGTH = 255;
const HOUR_MS = 3_600_000;

/** A signed link that accepts one image. */
export interface UploadLink {
  /** ID that the image will have. */
  imageId: string;
  url: string;
  maxBytes: number;
  expiresAt: Date;
}

export interface UploadsDependencies extends Pick<Dependencies, 'blobs' | 'images' | 'store' | 'uploads'> {
  signedLinks: SignedLinks;
  maxBytes: number;
}

/** Accepts images from users, so that they can be edited. */
export class Uploads {
  private readonly turns = new UploadTurns();
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
    const turn = this.turns.arrive(uploadId, body);
    for (;;) {
      const upload = await this.deps.uploads.find(uploadId);
      if (upload?.usedAt) return this.imageOf(upload);
      if (!upload || upload.expiresAt < databaseNow()) {
        throw new Gone('This upload link has expired. Request a new one with `createUpload`.');
      }
      const image = await turn.take((onReceived) => this.store(upload, body, onReceived));
      if (image) return image;
    }
  }

  private async store(upload: Upload, source: Readable, onReceived: () => void): Promise<Image> {
    const { incoming } = this.deps.store;
    const { body, replaceFile, end } = this.bounds.begin(upload, source);
    const paths: string[] = [];
    try {
      const receivedPath = await incoming.createPath();
      const normalizedPath = await incoming.createPath();
      paths.push(receivedPath, normalizedPath);
      await writeStreamToFile(body, receivedPath, this.deps.maxBytes);
      onReceived();
      await normalizeUpload(receivedPath, normalizedPath, decodingTurnOf(upload));
      const { sha256, byteSize } = await measureFile(normalizedPath);
      // Many normalized files can wait for their turn to be inspected.
      const receivedRemoved = incoming.removeEventually(receivedPath);
      replaceFile(byteSize, receivedRemoved);
      return await this.storeImage(upload, normalizedPath, { sha256, byteSize });
    } catch (error) {
      throw error instanceof ImageUnavailable
        ? new BadRequest(`${error.message} Send another PNG, JPEG, WebP, GIF or AVIF image.`, {
            cause: error,
          })
        : error;
    } finally {
      const removed = Promise.all(paths.map((path) => incoming.removeEventually(path)));
      end(removed);
      await withTimeout(removed, REMOVAL_WAIT_MS);
    }
  }

  private async storeImage(
    upload: Upload,
    path: string,
    { sha256, byteSize }: { sha256: Buffer; byteSize: number },
  ): Promise<Image> {
    const properties = await inspectImage(path, decodingTurnOf(upload));
    const protectedUntil = await protectBytes(this.deps.blobs, sha256);
    await this.deps.store.put(originalKey(sha256), path);
    const isCompleted = await this.deps.uploads.complete(
      upload.id,
      { ...properties, sha256, byteSize },
      protectedUntil,
    );
    if (!isCompleted && !(await this.deps.uploads.find(upload.id))?.usedAt)
      throw new StoreUnavailable('storing the image took too long', { advice: 'Send it again.' });
    return this.imageOf(upload);
  }

  /** Deletes links that expired more than an hour ago. */
  async deleteExpired(signal?: AbortSignal): Promise<void> {
    const cutoff = new Date(databaseTimeMs() - HOUR_MS);
    await deleteInBatches((limit) => this.deps.uploads.deleteExpiredBefore(cutoff, limit), signal);
  }

  private async imageOf({ id, workspaceId }: { id: string; workspaceId: string }): Promise<Image> {
    const [image] = await this.deps.images.findMany(workspaceVisibility(workspaceId), [id]);
    if (!image || image.deletedAt)
      throw new Gone('This image was deleted. Request a new upload link with `createUpload`.');
    return image;
  }
}

function decodingTurnOf({ workspaceId }: Upload) {
  return { workspaceId, isPaid: false };
}
