import { type Logger } from 'pino';
import { auditEntry } from '../../core/access/audit-entry.js';
import { type Caller } from '../../core/access/caller.js';
import { InputRejected } from '../../core/errors.js';
import { ACTORS } from '../../core/events/task-event.js';
import { isId } from '../../core/primitives/ids.js';
import { IMAGE_FORMATS, IMAGE_WIDTHS, type Image } from '../../core/images/image.js';
import { type Blobs } from '../../db/images/blob-repository.js';
import { type Images } from '../../db/images/image-repository.js';
import { type EventLog } from '../../event-log/event-log.js';
import { type ImageStore, originalKey, type StoreKey, variantKey } from '../../storage/image-store.js';

/** Deleted one by one, each with its event; a batch is read by one statement. */
const RETENTION_BATCH = 100;
/** Contents that one run looks at. */
const SWEEP_BATCH = 200;
/** Of one run: then it is the store that fails, and each more would take as long as its time-outs. */
const MAX_FAILURES = 5;
const DAY_MS = 24 * 3_600 * 1_000;

/** Takes pictures away: by request, and when their time is over. The history stays; bytes go with the last who has them. */
export class Forgetting {
  constructor(
    private readonly images: Images,
    private readonly blobs: Blobs,
    private readonly store: ImageStore,
    private readonly events: EventLog,
    /** Null: pictures are kept for ever. */
    private readonly retentionDays: number | null,
    private readonly log: Logger,
  ) {}

  /** Throws InputRejected NOT_FOUND for an id that the workspace does not have, or that was deleted before. */
  async deleteImage(caller: Caller, id: string): Promise<{ image: Image }> {
    const [image] = isId(id) ? await this.images.findMany(caller, [id]) : [];
    const { keyName } = caller;
    const audit = image && auditEntry(caller, 'IMAGE_DELETED', image.id, { taskId: image.taskId });
    if (!image || !(await this.images.markDeleted(image, 'REQUESTED', keyName, audit))) {
      const message = 'There is no image with this id in your workspace.';
      throw new InputRejected([{ code: 'NOT_FOUND', message, field: ['input', 'id'] }]);
    }
    this.events.sealSoon();
    return { image: { ...image, deletedAt: new Date() } };
  }

  /** Deletes pictures that are older than the retention, in small batches. */
  async forgetOld(): Promise<void> {
    if (this.retentionDays === null) return;
    const time = new Date(Date.now() - this.retentionDays * DAY_MS);
    for (let more = true; more;) {
      const old = await this.images.findOld(time, RETENTION_BATCH);
      for (const image of old) await this.images.markDeleted(image, 'RETENTION', ACTORS.retention);
      this.events.sealSoon();
      more = old.length === RETENTION_BATCH;
      if (old.length > 0) this.log.info({ count: old.length }, 'pictures were deleted: their time was over');
    }
  }

  /** Removes what a crash has left of files on their way, on this machine. */
  async cleanUp(): Promise<void> {
    const count = await this.store.cleanUp();
    if (count > 0) this.log.info({ count }, 'files that a crash had left were removed');
  }

  /**
   * Removes bytes that no image has any more: of deleted ones, and of ones that a crash has kept from being named. Those
   * that cannot be removed are tried again later, so that they are in nobody's way, and are told in one line of the log.
   */
  async sweep(): Promise<void> {
    const failures: unknown[] = [];
    const remove = async (sha256: Buffer) => {
      try {
        await this.store.remove(allKeys(sha256));
        return true;
      } catch (error) {
        failures.push(error);
        return false;
      }
    };
    let count = 0;
    while (count < SWEEP_BATCH && failures.length < MAX_FAILURES && (await this.blobs.sweepOne(remove)))
      count += 1;
    if (failures.length > 0) {
      const facts = { err: failures[0], count: failures.length };
      this.log.error(facts, 'bytes that nobody has could not be removed; it is tried again in 10 minutes');
    }
  }
}

/** Every form in which a content can be stored. */
function allKeys(sha256: Uint8Array): StoreKey[] {
  const keys = [originalKey(sha256)];
  for (const width of [null, ...IMAGE_WIDTHS]) {
    for (const format of IMAGE_FORMATS) keys.push(variantKey(sha256, width, format));
  }
  return keys;
}
