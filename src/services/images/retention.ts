import { databaseNow, databaseTimeMs, DAY_MS } from '../../core/primitives/clock.js';
import { newAuditEntry } from '../../core/access/audit-entry.js';
import { type Caller } from '../../core/access/caller.js';
import { DatabaseUnavailable, InputRejected } from '../../core/errors.js';
import { EVENT_ACTORS } from '../../core/events/task-event.js';
import { isId } from '../../core/primitives/ids.js';
import { type Image } from '../../core/images/image.js';
import { type OldImage } from '../../db/images/image-repository.js';
import { allStoreKeys } from '../../storage/image-store.js';
import { type Spool } from '../../storage/spool.js';
import { type Dependencies } from '../dependencies.js';

/** Images that one statement reads. They are deleted one by one, each with its event. */
const RETENTION_BATCH_SIZE = 100;
/** A single image can be locked for long. After this many outages in a run, PostgreSQL is away. */
const MAX_OUTAGES = 3;
/** Blobs that one run checks. */
const UNUSED_BATCH_SIZE = 200;
/**
 * After this many failures a run stops. The store is failing, and each further attempt may take as long as its
 * timeout.
 */
const MAX_UNUSED_FAILURES = 5;
/** Far less than the ten minutes for which a claim lasts. */
const MAX_CLAIM_MS = 10_000;

interface RetentionDependencies extends Pick<
  Dependencies,
  'blobs' | 'eventLog' | 'images' | 'log' | 'store'
> {
  /** Null: images are never deleted by age. */
  retentionDays: number | null;
  /** Other folders with temporary files. Default: none. */
  spools?: readonly Pick<Spool, 'cleanUp'>[];
}

/**
 * Deletes images, on request and by age. Rows and events remain. Bytes are removed when the last image that shares
 * them is deleted.
 */
export class Retention {
  constructor(private readonly deps: RetentionDependencies) {}

  /**
   * Deletes an image. Throws InputRejected with NOT_FOUND when it does not exist, is not visible or is already
   * deleted.
   */
  async deleteImage(caller: Caller, id: string): Promise<{ image: Image }> {
    const [image] = isId(id) ? await this.deps.images.findMany(caller, [id]) : [];
    const audit =
      image && newAuditEntry(caller, 'IMAGE_DELETED', { targetId: image.id, data: { taskId: image.taskId } });
    const options = { reason: 'REQUESTED', actor: caller.keyName, audit } as const;
    if (!image || !(await this.deps.images.markDeleted(image, options)))
      throw InputRejected.argument('NOT_FOUND', 'id', 'No image with this ID in your workspace.');
    this.deps.eventLog.requestSeal();
    return { image: { ...image, deletedAt: databaseNow() } };
  }

  /**
   * Deletes images that were stored longer ago than the retention period, in small batches. One that cannot be deleted delays no
   * other. `signal` ends the run between two batches.
   */
  async deleteExpired(signal?: AbortSignal): Promise<void> {
    const { retentionDays, images, eventLog, log } = this.deps;
    if (retentionDays === null) return;
    const cutoff = new Date(databaseTimeMs() - retentionDays * DAY_MS);
    const failures: unknown[] = [];
    let outages = 0;
    for (let last: OldImage | undefined | null = null; last !== undefined && !signal?.aborted;) {
      const expired = await images.findStoredBefore(cutoff, RETENTION_BATCH_SIZE, last);
      const failedBefore = failures.length;
      for (const image of expired) {
        try {
          await images.markDeleted(image, { reason: 'RETENTION', actor: EVENT_ACTORS.retention });
        } catch (error) {
          failures.push(error);
          if (error instanceof DatabaseUnavailable && ++outages === MAX_OUTAGES) throw error;
        }
      }
      eventLog.requestSeal();
      last = expired[RETENTION_BATCH_SIZE - 1];
      const count = expired.length - (failures.length - failedBefore);
      if (count > 0) log.info({ count }, 'images deleted by retention');
    }
    if (failures.length > 0) {
      const fields = { err: failures[0], count: failures.length };
      log.error(fields, 'images could not be deleted by retention; retrying at its next run');
    }
  }

  /** Removes temporary files that a crash left behind on this machine. */
  async removeTemporaryFiles(): Promise<void> {
    const { store, spools = [], log } = this.deps;
    let count = 0;
    for (const spool of spools) {
      try {
        count += await spool.cleanUp();
      } catch (error) {
        // The spool works without it, and its disk may answer later.
        log.error({ err: error }, 'temporary files in the spool could not be removed');
      }
    }
    count += await store.incoming.cleanUp();
    if (count > 0) log.info({ count }, 'removed temporary files that a crash had left behind');
  }

  /**
   * Removes bytes that no image refers to, because the images were deleted or because a crash came between storing
   * the bytes and writing the row. Blobs that cannot be removed are tried again later and do not block others. They
   * are logged in one line. `signal` ends the run after the blob in progress.
   */
  async deleteUnusedBlobs(signal?: AbortSignal): Promise<void> {
    const failures: unknown[] = [];
    for (let count = 0; count < UNUSED_BATCH_SIZE && failures.length < MAX_UNUSED_FAILURES; count += 1) {
      if (signal?.aborted) break;
      const claimedAt = performance.now();
      const claim = await this.deps.blobs.claimUnused();
      // A process that was paused for long must not remove what another one may have stored meanwhile.
      if (!claim || performance.now() - claimedAt > MAX_CLAIM_MS) break;
      try {
        await this.deps.store.remove(allStoreKeys(claim.sha256));
      } catch (error) {
        failures.push(error);
        continue;
      }
      await this.deps.blobs.deleteClaimed(claim);
    }
    if (failures.length > 0) {
      const fields = { err: failures[0], count: failures.length };
      this.deps.log.error(fields, 'unused blobs could not be removed; retrying in 10 minutes');
    }
  }
}
