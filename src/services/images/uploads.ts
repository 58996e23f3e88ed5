import { rm } from 'node:fs/promises';
import { type Readable } from 'node:stream';
import { type Caller } from '../../core/access/caller.js';
import {
  BadRequest,
  Gone,
  InputRejected,
  LinkRefused,
  PictureUnavailable,
  StoreUnavailable,
} from '../../core/errors.js';
import { isId, newId } from '../../core/primitives/ids.js';
import { type Image } from '../../core/images/image.js';
import { wholeWorkspace } from '../../core/access/visibility.js';
import { type Blobs } from '../../db/images/blob-repository.js';
import { type Images } from '../../db/images/image-repository.js';
import { type Uploads } from '../../db/images/upload-repository.js';
import { measureFile, writeStream } from '../../storage/write-stream.js';
import { inspectPicture } from '../../storage/processing/inspect-image.js';
import { type ImageStore, originalKey } from '../../storage/image-store.js';
import { normaliseUpload } from '../../storage/processing/transform.js';
import { requireNewThings } from '../access/access.js';
import { type Addresses } from '../access/signed-links.js';

/** Long enough to choose a picture and send it over a slow line. */
const LINK_SECONDS = 900;
const MAX_NAME_LENGTH = 255;
const HOUR_MS = 3_600_000;
const FORGET_BATCH = 1_000;

/** A link that one picture can be sent to. */
export interface UploadLink {
  /** The id that the image will have. */
  imageId: string;
  url: string;
  maxBytes: number;
  expiresAt: Date;
}

/** Takes pictures from people, so that they can be edited. */
export class Uploading {
  constructor(
    private readonly uploads: Uploads,
    private readonly images: Images,
    private readonly blobs: Blobs,
    private readonly store: ImageStore,
    private readonly addresses: Addresses,
    private readonly maxBytes: number,
  ) {}

  /** Makes a link. Throws InputRejected for a name that cannot be, and Forbidden for who may make nothing new. */
  async create(caller: Caller, fileName: string | null): Promise<{ upload: UploadLink }> {
    requireNewThings(caller);
    if (fileName !== null && (fileName.length > MAX_NAME_LENGTH || fileName.includes('\0'))) {
      const message = `The file name has at most ${MAX_NAME_LENGTH} characters and no NUL. Shorten it, or leave it out.`;
      throw new InputRejected([{ code: 'INVALID_FILE_NAME', message, field: ['input', 'fileName'] }]);
    }
    const id = newId();
    const expiresAt = new Date(Date.now() + LINK_SECONDS * 1000);
    await this.uploads.insert({
      id,
      workspaceId: caller.workspaceId,
      actor: caller.keyName,
      fileName,
      endUserId: caller.endUserId,
      expiresAt,
    });
    return { upload: { imageId: id, url: this.addresses.upload(id), maxBytes: this.maxBytes, expiresAt } };
  }

  /**
   * Takes the picture that was sent to a link: decoded, turned upright, without its metadata, stored. The same link again
   * gives the image that was made: a reply can be lost. Throws LinkRefused, Gone, PayloadTooLarge, StoreUnavailable, and
   * BadRequest for what is no picture; after the last three the link can be used again.
   */
  async receive(uploadId: string, token: string, body: Readable): Promise<Image> {
    if (!isId(uploadId) || !this.addresses.isUploadToken(uploadId, token)) {
      throw new LinkRefused('This is not an upload link that we signed. Ask for one with createUpload.');
    }
    const upload = await this.uploads.find(uploadId);
    if (upload?.usedAt) return this.imageOf(upload);
    if (!upload || upload.expiresAt < new Date()) {
      throw new Gone('This upload link has expired. Ask for another one with createUpload.');
    }
    const [received, upright] = [await this.store.temporaryFile(), await this.store.temporaryFile()];
    try {
      await writeStream(body, received, this.maxBytes);
      await normaliseUpload(received, upright);
      const facts = await inspectPicture(upright);
      const { sha256, byteSize } = await measureFile(upright);
      const announcedUntil = await this.blobs.touch(sha256);
      await this.store.put(originalKey(sha256), upright);
      const isWritten = await this.uploads.complete(uploadId, { ...facts, sha256, byteSize }, announcedUntil);
      if (!isWritten && !(await this.uploads.find(uploadId))?.usedAt)
        throw new StoreUnavailable('storing took too long, and the picture must be sent again');
      return await this.imageOf(upload);
    } catch (error) {
      throw error instanceof PictureUnavailable ? new BadRequest(error.message, { cause: error }) : error;
    } finally {
      await Promise.all([rm(received, { force: true }), rm(upright, { force: true })]);
    }
  }

  /** Deletes links that were over an hour ago. */
  async forgetOld(): Promise<void> {
    const time = new Date(Date.now() - HOUR_MS);
    while ((await this.uploads.forgetBefore(time, FORGET_BATCH)) === FORGET_BATCH);
  }

  private async imageOf({ id, workspaceId }: { id: string; workspaceId: string }): Promise<Image> {
    const [image] = await this.images.findMany(wholeWorkspace(workspaceId), [id]);
    if (!image || image.deletedAt) throw new Gone('This picture was deleted.');
    return image;
  }
}
