import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { type Image, type PictureFacts } from '../../core/images/image.js';
import { type EventData } from '../../core/events/task-event.js';
import { type Reach } from '../../core/access/visibility.js';
import { announce } from '../webhooks/create-webhook-delivery.js';
import { audited, auditValue } from '../access/audit-repository.js';
import { announcedBlob } from './blob-repository.js';
import { type Database } from '../postgres/database.js';
import { FIND_IMAGES, FIND_IMAGES_OF_TASKS, PAGE_OF_EDITS } from './image-statements.js';
import { reachValues } from '../access/visibility-filter.js';

/** Neither its bytes nor their loss has been written down, and nobody has deleted it. */
const UNSETTLED = 'stored_at IS NULL AND lost_at IS NULL AND deleted_at IS NULL';
/** Marks an image as stored, counts it off its task, and tells it; the last one of an ended task settles the task. */
const MARK_STORED = {
  name: 'mark-image-stored',
  text: settleStatement({
    columns: `width = $5, height = $6, mime_type = $7, byte_size = $8, sha256 = $9, thumbhash = $10, stored_at = now()`,
    condition: UNSETTLED,
    given: announcedBlob('$9', '$11'),
  }),
};
const MARK_LOST = {
  name: 'mark-image-lost',
  text: settleStatement({ columns: `lost_reason = $5, lost_at = now()`, condition: UNSETTLED }),
};
/** Also of one that is still waited for: then it is waited for no longer. Its content is to be looked at soon. */
const MARK_DELETED = {
  name: 'mark-image-deleted',
  text: settleStatement({
    columns: 'deleted_at = now()',
    condition: 'deleted_at IS NULL AND workspace_id = $5',
    besides: `UPDATE blobs SET check_at = greatest(check_at, now()) FROM image WHERE blobs.sha256 = image.sha256`,
    more: `,${audited('$6', 'image')}`,
  }),
};

/** A row for an image that meets the condition; `written` is false when what must be `given` has no row. */
function settleStatement(parts: {
  columns: string;
  condition: string;
  given?: string;
  besides?: string;
  more?: string;
}): string {
  const { columns, condition, given = 'SELECT', besides = 'SELECT', more = '' } = parts;
  return `
  WITH before AS (
    SELECT id, late, stored_at IS NULL AND lost_at IS NULL AS pending FROM images
    WHERE id = $1 AND ${condition} FOR NO KEY UPDATE
  ), given AS (${given}), image AS (
    UPDATE images SET ${columns} FROM before, given WHERE images.id = before.id
    RETURNING images.id, workspace_id, task_id, images.sha256, before.late, before.pending
  ), task AS (
    UPDATE tasks SET pending_images = pending_images - (NOT image.late)::int, pending_late = pending_late - image.late::int
    FROM image WHERE tasks.id = image.task_id AND image.pending
    RETURNING tasks.id, tasks.workspace_id, tasks.callback_url, pending_images, pending_late, image.late
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data, settles)
    SELECT workspace_id, task_id, $2, $3, $4::jsonb, coalesce((SELECT pending_images = 0 AND NOT late FROM task), false)
    FROM image WHERE task_id IS NOT NULL
  ), besides AS (${besides}
  ),${announce(`CASE WHEN late THEN 'LATE_RESULT' ELSE 'RESULT' END`, 'CASE WHEN late THEN pending_late ELSE pending_images END = 0')}${more}
  SELECT image.id IS NOT NULL AS written, (SELECT count(*) FROM wake) AS woken
  FROM before LEFT JOIN image ON image.id = before.id`;
}

const FIND_OLD = {
  name: 'find-old-images',
  text: `SELECT id, workspace_id AS "workspaceId", index FROM images
         WHERE stored_at < $1 AND deleted_at IS NULL ORDER BY stored_at LIMIT $2`,
};
const LIST_STORED = {
  name: 'list-stored-images',
  text: `SELECT id, upstream_url AS "upstreamUrl", encode(sha256, 'hex') AS sha256 FROM images
         WHERE id > $1 AND stored_at IS NOT NULL AND deleted_at IS NULL ORDER BY id LIMIT $2`,
};

/** The rows of `images`. */
export class Images {
  constructor(private readonly db: Database) {}

  /** Any workspace's image, with the prompt that made it: for serving by a link that we signed. */
  async findServed(id: string): Promise<ServedImage | null> {
    const include = { task: { select: { prompt: true } } };
    const found = await this.db.read((prisma) => prisma.image.findUnique({ where: { id }, include }));
    if (!found) return null;
    const { task, ...image } = found;
    return { ...image, prompt: task?.prompt ?? null };
  }

  /** The images within reach among these ids, in no order. */
  async findMany(reach: Reach, ids: readonly string[]): Promise<Image[]> {
    return this.db.within<Image>(reach.workspaceId, FIND_IMAGES, [...reachValues(reach), ids]);
  }

  /** The images of these tasks of the workspace, late ones included, in the upstream's order. */
  async findByTasks(workspaceId: string, taskIds: readonly string[]): Promise<Image[]> {
    return this.db.within<Image>(workspaceId, FIND_IMAGES_OF_TASKS, [workspaceId, taskIds]);
  }

  /** The same of any workspace's task: for our own work. */
  async findOfTask(taskId: string): Promise<Image[]> {
    return this.db.read((prisma) => prisma.image.findMany({ where: { taskId }, orderBy: { index: 'asc' } }));
  }

  /** A page of what was edited from an image, oldest first, behind the image `after`. */
  async pageOfEdits(reach: Reach, parentId: string, after: string | null, limit: number): Promise<Image[]> {
    const values = [...reachValues(reach), parentId, after, limit];
    return this.db.within<Image>(reach.workspaceId, PAGE_OF_EDITS, values);
  }

  /**
   * Fills in what the bytes told and writes IMAGE_STORED. Does nothing when the image is settled already. False: it is
   * not, but the bytes were announced for no longer than `announcedUntil` and may be gone; they must be put again.
   */
  async markStored(image: Image, facts: PictureFacts, announcedUntil: Date, actor: string): Promise<boolean> {
    const { width, height, mimeType, byteSize, sha256, thumbhash } = facts;
    const data: EventData['IMAGE_STORED'] = {
      imageId: image.id,
      index: image.index,
      width,
      height,
      mimeType,
      byteSize,
      thumbhash: thumbhash.toString('base64'),
    };
    const values = [width, height, mimeType, byteSize, sha256, thumbhash, announcedUntil];
    const args = [image.id, 'IMAGE_STORED', actor, JSON.stringify(data), ...values];
    return (await this.db.run<{ written: boolean }>(MARK_STORED, args)).every(({ written }) => written);
  }

  /** Gives an image up and writes IMAGE_LOST with the reason. Does nothing when the image is settled already. */
  async markLost(image: Image, reason: string, actor: string): Promise<void> {
    const data: EventData['IMAGE_LOST'] = { imageId: image.id, index: image.index, reason };
    await this.db.run(MARK_LOST, [image.id, 'IMAGE_LOST', actor, JSON.stringify(data), reason]);
  }

  /** Takes an image away from everybody and writes IMAGE_DELETED; false when the workspace has no such image. */
  async markDeleted(
    image: Pick<Image, 'id' | 'workspaceId' | 'index'>,
    reason: EventData['IMAGE_DELETED']['reason'],
    actor: string,
    audit: NewAuditEntry | null = null,
  ): Promise<boolean> {
    const data: EventData['IMAGE_DELETED'] = { imageId: image.id, index: image.index, reason };
    const values = [
      image.id,
      'IMAGE_DELETED',
      actor,
      JSON.stringify(data),
      image.workspaceId,
      auditValue(audit),
    ];
    return (await this.db.run(MARK_DELETED, values)).length > 0;
  }

  /** Up to `limit` images that were stored before `time`, oldest first. */
  async findOld(time: Date, limit: number): Promise<Pick<Image, 'id' | 'workspaceId' | 'index'>[]> {
    return this.db.run(FIND_OLD, [time, limit]);
  }

  /** Every stored image, by id, in pages: those behind `after`. */
  async listStored(after: string, limit: number): Promise<StoredImage[]> {
    return this.db.run<StoredImage>(LIST_STORED, [after, limit]);
  }
}

/** An image, and the words that made it; null for an uploaded one. */
export type ServedImage = Image & { prompt: string | null };

/** What checking the store needs of an image; `sha256` in hex. */
export interface StoredImage {
  id: string;
  upstreamUrl: string | null;
  sha256: string;
}
