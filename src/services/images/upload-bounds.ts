import { Readable } from 'node:stream';
import { BadRequest, StoreUnavailable, TooManyConnections } from '../../core/errors.js';
import { TIMED_OUT, withTimeout } from '../../core/primitives/async.js';

/** Uploads of one end user that an instance receives or stores at the same time. */
export const MAX_UPLOADS_PER_END_USER = 8;
/** The same for a workspace, with those of its end users. */
export const MAX_UPLOADS_PER_WORKSPACE = 64;
/** What all of them may take of the disk. Beyond it, uploads of the workspace that takes most are ended. */
export const MAX_UPLOAD_BYTES_IN_ALL = 1024 * 1024 * 1024;
/** A workspace may take this part, so that the others find room even while its uploads wait to be decoded. */
const MAX_SHARE_PER_WORKSPACE = 0.5;
/**
 * A client that sends less than this in WINDOW_MS would keep its part of the disk for hours. The slowest phones send twice as
 * much.
 */
const MIN_BYTES_PER_WINDOW = 32 * 1024;
const WINDOW_MS = 30_000;
/** A disk with little free space is noticed before this has been written to it. */
const FREE_SPACE_CHECK_BYTES = 8 * 1024 * 1024;

/** How long an upload waits for the files of others to be removed, which takes milliseconds. */
const ROOM_TIMEOUT_MS = 5_000;

const TOO_SLOW = `The upload is slower than ${MIN_BYTES_PER_WINDOW / 1024} kB in ${WINDOW_MS / 1_000} s. Send a smaller image, or use a faster connection.`;
const TOO_MUCH_IN_ALL =
  'The uploads in progress take too much of the disk, and there is no room left for this one. Send it again.';

export interface UploadBoundsOptions {
  /** Rejects when the disk has too little free space. */
  requireFreeSpace: () => Promise<void>;
  maxBytesInAll?: number;
  windowMs?: number;
  roomTimeoutMs?: number;
}

/** Who uploads. */
interface Uploader {
  workspaceId: string;
  endUserId: string | null;
}

interface BoundedUpload {
  uploader: Uploader;
  source: Readable;
  /** Of its files that are not being removed. */
  bytes: number;
  hasArrived: boolean;
  /** It was ended, and its files are to be removed. */
  isLeaving: boolean;
}

/** What the caller of an upload needs. */
interface CountedUpload {
  /** The bytes to write to a file. */
  body: Readable;
  /**
   * Counts a file that replaces those of the upload. These count until `othersRemoved` resolves. Throws TooManyConnections if the
   * upload has to end.
   */
  replaceFile: (bytes: number, othersRemoved: Promise<unknown>) => void;
  /** Ends the upload. Its files count until `filesRemoved` resolves. */
  end: (filesRemoved: Promise<unknown>) => void;
}

/** Bounds what uploads in progress take: how many there are, their files, and how long they last. */
export class UploadBounds {
  /** Those that began first come first. */
  private readonly uploads = new Set<BoundedUpload>();
  /** Bytes of all files that exist, also of uploads that have ended. */
  private totalBytes = 0;
  /** The part of them that will be removed soon. */
  private leavingBytes = 0;
  private onRemoved: (() => void)[] = [];

  constructor(private readonly options: UploadBoundsOptions) {}

  /**
   * Counts an upload. The caller has to call `end`. Throws TooManyConnections. `body` fails with it as well, with BadRequest for a
   * client that is too slow, and with StoreUnavailable.
   */
  begin(uploader: Uploader, source: Readable): CountedUpload {
    this.requireRoomFor(uploader);
    const upload: BoundedUpload = { uploader, source, bytes: 0, hasArrived: false, isLeaving: false };
    this.uploads.add(upload);
    return {
      body: Readable.from(this.chunksOf(upload), { objectMode: false }),
      replaceFile: (bytes, othersRemoved) => this.replaceFile(upload, bytes, othersRemoved),
      end: (filesRemoved) => void this.end(upload, filesRemoved),
    };
  }

  private requireRoomFor({ workspaceId, endUserId }: Uploader): void {
    const ofWorkspace = [...this.uploads].filter(({ uploader }) => uploader.workspaceId === workspaceId);
    const ofEndUser = ofWorkspace.filter(({ uploader }) => uploader.endUserId === endUserId);
    if (endUserId !== null && ofEndUser.length >= MAX_UPLOADS_PER_END_USER)
      throw new TooManyConnections(
        `This end user has ${MAX_UPLOADS_PER_END_USER} uploads in progress, which is the limit. Wait until one of them ends.`,
      );
    if (ofWorkspace.length >= MAX_UPLOADS_PER_WORKSPACE)
      throw new TooManyConnections(
        `This workspace has ${MAX_UPLOADS_PER_WORKSPACE} uploads in progress on this instance, which is the limit. Wait until one of them ends.`,
      );
  }

  private async *chunksOf(upload: BoundedUpload): AsyncGenerator<Buffer> {
    const { requireFreeSpace, windowMs = WINDOW_MS } = this.options;
    let uncheckedBytes = Infinity;
    let windowBytes = 0;
    // The time in which the client was waited for. A slow disk is not its fault.
    let waitedMs = 0;
    let waitingSince = performance.now();
    const cutSilentClient = () => setTimeout(() => upload.source.destroy(new BadRequest(TOO_SLOW)), windowMs);
    let timer = cutSilentClient();
    try {
      for await (const chunk of upload.source as AsyncIterable<Buffer>) {
        clearTimeout(timer);
        waitedMs += performance.now() - waitingSince;
        windowBytes += chunk.length;
        uncheckedBytes += chunk.length;
        if (waitedMs > windowMs) {
          if (windowBytes < MIN_BYTES_PER_WINDOW) throw new BadRequest(TOO_SLOW);
          [waitedMs, windowBytes] = [0, 0];
        }
        if (uncheckedBytes > FREE_SPACE_CHECK_BYTES) {
          await requireFreeSpace();
          uncheckedBytes = 0;
        }
        this.add(upload, chunk.length);
        await this.waitForRemovals(upload);
        requireStaying(upload);
        yield chunk;
        waitingSince = performance.now();
        timer = cutSilentClient();
      }
    } finally {
      // The source may have been closed before it was read.
      clearTimeout(timer);
    }
    // Destroying a source whose bytes have all been read changes nothing.
    requireStaying(upload);
    upload.hasArrived = true;
  }

  private replaceFile(upload: BoundedUpload, bytes: number, othersRemoved: Promise<unknown>): void {
    if (!this.uploads.has(upload)) return;
    this.leavingBytes += upload.bytes;
    void this.forgetWhenRemoved(upload.bytes, othersRemoved);
    upload.bytes = 0;
    this.add(upload, bytes);
    requireStaying(upload);
  }

  private add(upload: BoundedUpload, bytes: number): void {
    if (!this.uploads.has(upload)) return;
    upload.bytes += bytes;
    this.totalBytes += bytes;
    if (upload.isLeaving) this.leavingBytes += bytes;
    // Not looked at otherwise, because this is called for each chunk.
    if (this.totalBytes - this.leavingBytes <= this.maxBytesInAll * MAX_SHARE_PER_WORKSPACE) return;
    for (let next = this.findExcess(upload); next; next = this.findExcess(upload)) {
      this.leave(next);
      next.source.destroy(new TooManyConnections(TOO_MUCH_IN_ALL));
    }
  }

  /**
   * The upload to end if too much is in progress: of the workspace that takes most, the one that began first and has not arrived,
   * or else `growing`, which has just taken more. So a workspace never takes more than its share, even if all of its uploads have
   * arrived. If nothing of it can end, of the next workspace, as long as all of them together take too much.
   */
  private findExcess(growing: BoundedUpload): BoundedUpload | undefined {
    const bytesByWorkspace = new Map<string, number>();
    for (const { uploader, bytes, isLeaving } of this.uploads) {
      const { workspaceId } = uploader;
      if (!isLeaving) bytesByWorkspace.set(workspaceId, (bytesByWorkspace.get(workspaceId) ?? 0) + bytes);
    }
    const isTooMuchInAll = this.totalBytes - this.leavingBytes > this.maxBytesInAll;
    const heaviestFirst = [...bytesByWorkspace].sort(([, a], [, b]) => b - a);
    for (const [workspaceId, bytes] of heaviestFirst) {
      if (!isTooMuchInAll && bytes <= this.maxBytesInAll * MAX_SHARE_PER_WORKSPACE) return undefined;
      const staying = [...this.uploads].filter(
        ({ uploader, bytes: taken, isLeaving }) =>
          uploader.workspaceId === workspaceId && taken > 0 && !isLeaving,
      );
      const first = staying.find(({ hasArrived }) => !hasArrived) ?? staying.find((one) => one === growing);
      if (first) return first;
    }
    return undefined;
  }

  /** The files of uploads that were ended are still on the disk. Throws StoreUnavailable when they stay there. */
  private async waitForRemovals(upload: BoundedUpload): Promise<void> {
    const { roomTimeoutMs = ROOM_TIMEOUT_MS } = this.options;
    while (!upload.isLeaving && this.leavingBytes > 0 && this.totalBytes > this.maxBytesInAll) {
      const removed = new Promise<void>((resolve) => this.onRemoved.push(resolve));
      if ((await withTimeout(removed, roomTimeoutMs)) === TIMED_OUT)
        throw new StoreUnavailable('the disk did not respond in time');
    }
  }

  private leave(upload: BoundedUpload): void {
    if (upload.isLeaving) return;
    upload.isLeaving = true;
    this.leavingBytes += upload.bytes;
  }

  private async end(upload: BoundedUpload, filesRemoved: Promise<unknown>): Promise<void> {
    if (!this.uploads.delete(upload)) return;
    this.leave(upload);
    await this.forgetWhenRemoved(upload.bytes, filesRemoved);
  }

  private async forgetWhenRemoved(bytes: number, removed: Promise<unknown>): Promise<void> {
    await removed;
    this.totalBytes -= bytes;
    this.leavingBytes -= bytes;
    for (const resolve of this.onRemoved.splice(0)) resolve();
  }

  private get maxBytesInAll(): number {
    return this.options.maxBytesInAll ?? MAX_UPLOAD_BYTES_IN_ALL;
  }
}

function requireStaying({ isLeaving }: BoundedUpload): void {
  if (isLeaving) throw new TooManyConnections(TOO_MUCH_IN_ALL);
}
