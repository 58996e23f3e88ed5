import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { type Image, type ImageProperties } from '../../core/images/image.js';
import { type EventData } from '../../core/events/task-event.js';
import { type Visibility } from '../../core/access/visibility.js';
import { enqueueWebhookSql } from '../webhooks/webhook-statements.js';
import { insertAuditSql, auditParameter } from '../access/audit-repository.js';
import { lockProtectedBlobSql } from './blob-repository.js';
import { type Database } from '../postgres/database.js';
import { isImageVisibleSql, visibilityValues } from '../access/visibility-filter.js';

/** The columns of `Image`. */
const COLUMNS = `
  image.id, image.workspace_id AS "workspaceId", image.task_id AS "taskId", image.index, image.late,
  image.upstream_url AS "upstreamUrl", image.seed, image.inference_seconds AS "inferenceSeconds", image.upstream_metadata AS "upstreamMetadata",
  image.parent_id AS "parentId", image.width, image.height, image.mime_type AS "mimeType", image.byte_size AS "byteSize",
  image.sha256, image.thumbhash, image.stored_at AS "storedAt", image.lost_at AS "lostAt",
  image.lost_reason AS "lostReason", image.deleted_at AS "deletedAt", image.file_name AS "fileName"`;

const FIND_IMAGES = {
  name: 'find-images',
  text: `SELECT ${COLUMNS} FROM images image WHERE ${isImageVisibleSql('image', 1)} AND image.id = ANY($4::uuid[])`,
  useGenericPlan: true,
};

const FIND_IMAGES_OF_TASKS = {
  name: 'find-images-of-tasks',
  text: `SELECT ${COLUMNS} FROM images image
         WHERE image.workspace_id = $1 AND image.task_id = ANY($2::uuid[]) ORDER BY image.index`,
  useGenericPlan: true,
};

const PAGE_OF_EDITS = {
  name: 'page-of-edits',
  text: `SELECT ${COLUMNS} FROM images image
         WHERE ${isImageVisibleSql('image', 1)} AND image.parent_id = $4 AND ($5::uuid IS NULL OR image.id > $5)
         ORDER BY image.id LIMIT $6`,
  useGenericPlan: true,
};

/** The image is neither stored, lost nor deleted. */
const IS_PENDING = 'stored_at IS NULL AND lost_at IS NULL AND deleted_at IS NULL';
/** Marks an image as stored, counts it off its task, and writes the event. The last image of an ended task settles the task. */
const MARK_STORED = {
  name: 'mark-image-stored',
  text: updateImageSql({
    columns: `width = $5, height = $6, mime_type = $7, byte_size = $8, sha256 = $9, thumbhash = $10, stored_at = now()`,
    condition: IS_PENDING,
    precondition: lockProtectedBlobSql('$9', '$11'),
  }),
};
const MARK_LOST = {
  name: 'mark-image-lost',
  text: updateImageSql({ columns: `lost_reason = $5, lost_at = now()`, condition: IS_PENDING }),
};
/** Also works for a pending image, which is then pending no longer. Makes the sweep check the blob of the image soon. */
const MARK_DELETED = {
  name: 'mark-image-deleted',
  text: updateImageSql({
    columns: 'deleted_at = now()',
    condition: 'deleted_at IS NULL AND workspace_id = $5',
    sideEffect: `UPDATE blobs SET check_at = greatest(check_at, now()) FROM image WHERE blobs.sha256 = image.sha256`,
    extraCtes: `,${insertAuditSql('$6', 'image')}`,
  }),
};

/** The statement returns a row if the image meets the condition. `written` is false if the precondition has no row. */
function updateImageSql(options: {
  columns: string;
  condition: string;
  precondition?: string;
  sideEffect?: string;
  extraCtes?: string;
}): string {
  const { columns, condition, precondition = 'SELECT', sideEffect = 'SELECT', extraCtes = '' } = options;
  return `
  WITH before AS (
    SELECT id, late, stored_at IS NULL AND lost_at IS NULL AS pending FROM images
    WHERE id = $1 AND ${condition} FOR NO KEY UPDATE
  ), precondition AS (${precondition}), image AS (
    UPDATE images SET ${columns} FROM before, precondition WHERE images.id = before.id
    RETURNING images.id, workspace_id, task_id, images.sha256, before.late, before.pending
  ), task AS (
    UPDATE tasks SET pending_images = pending_images - (NOT image.late)::int, pending_late_images = pending_late_images - image.late::int
    FROM image WHERE tasks.id = image.task_id AND image.pending
    RETURNING tasks.id, tasks.workspace_id, tasks.webhook_url, pending_images, pending_late_images, image.late
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data, settles_task)
    SELECT workspace_id, task_id, $2, $3, $4::jsonb, coalesce((SELECT pending_images = 0 AND NOT late FROM task), false)
    FROM image WHERE task_id IS NOT NULL
  ), side_effect AS (${sideEffect}
  ),${enqueueWebhookSql(`CASE WHEN late THEN 'LATE_RESULT' ELSE 'RESULT' END`, 'CASE WHEN late THEN pending_late_images ELSE pending_images END = 0')}${extraCtes}
  SELECT image.id IS NOT NULL AS written, (SELECT count(*) FROM wake) AS woken
  FROM before LEFT JOIN image ON image.id = before.id`;
}

const FIND_STORED_BEFORE = {
  name: 'find-images-stored-before',
  text: `SELECT id, workspace_id AS "workspaceId", index FROM images
         WHERE stored_at < $1 AND deleted_at IS NULL ORDER BY stored_at LIMIT $2`,
};
const LIST_STORED = {
  name: 'list-stored-images',
  text: `SELECT id, upstream_url AS "upstreamUrl", encode(sha256, 'hex') AS sha256 FROM images
         WHERE id > $1 AND stored_at IS NOT NULL AND deleted_at IS NULL ORDER BY id LIMIT $2`,
};

/** The rows of `images`. */
export class ImageRepository {
  constructor(private readonly db: Database) {}

  /** An image of any workspace, with its prompt, for serving it by a signed link. */
  async findWithPrompt(id: string): Promise<ImageWithPrompt | null> {
    const include = { task: { select: { prompt: true } } };
    const found = await this.db.withPrisma((prisma) => prisma.image.findUnique({ where: { id }, include }));
    if (!found) return null;
    const { task, ...image } = found;
    return { ...image, prompt: task?.prompt ?? null };
  }

  /** The visible images among these IDs, in no order. */
  async findMany(visibility: Visibility, ids: readonly string[]): Promise<Image[]> {
    return this.db.runAsCaller<Image>(visibility.workspaceId, FIND_IMAGES, [
      ...visibilityValues(visibility),
      ids,
    ]);
  }

  /** The images of these tasks of the workspace, late ones included, in the upstream's order. */
  async findByTasks(workspaceId: string, taskIds: readonly string[]): Promise<Image[]> {
    return this.db.runAsCaller<Image>(workspaceId, FIND_IMAGES_OF_TASKS, [workspaceId, taskIds]);
  }

  /** The images of a task of any workspace, in the upstream's order, for background work. */
  async findByTask(taskId: string): Promise<Image[]> {
    return this.db.withPrisma((prisma) =>
      prisma.image.findMany({ where: { taskId }, orderBy: { index: 'asc' } }),
    );
  }

  /** A page of the edits of an image, oldest first, after the image `after`. */
  async pageOfEdits(
    visibility: Visibility,
    parentId: string,
    after: string | null,
    limit: number,
  ): Promise<Image[]> {
    const values = [...visibilityValues(visibility), parentId, after, limit];
    return this.db.runAsCaller<Image>(visibility.workspaceId, PAGE_OF_EDITS, values);
  }

  /**
   * Sets the properties of the stored bytes and writes IMAGE_STORED. Does nothing when the image is not pending. False: the
   * image is pending, but its bytes were protected only until `protectedUntil` and may be gone. Store them again.
   */
  async markStored(
    image: Image,
    properties: ImageProperties,
    protectedUntil: Date,
    actor: string,
  ): Promise<boolean> {
    const { width, height, mimeType, byteSize, sha256, thumbhash } = properties;
    const data: EventData['IMAGE_STORED'] = {
      imageId: image.id,
      index: image.index,
      width,
      height,
      mimeType,
      byteSize,
      thumbhash: thumbhash.toString('base64'),
    };
    const values = [width, height, mimeType, byteSize, sha256, thumbhash, protectedUntil];
    const args = [image.id, 'IMAGE_STORED', actor, JSON.stringify(data), ...values];
    return (await this.db.run<{ written: boolean }>(MARK_STORED, args)).every(({ written }) => written);
  }

  /** Marks an image as lost and writes IMAGE_LOST with the reason. Does nothing when the image is not pending. */
  async markLost(image: Image, reason: string, actor: string): Promise<void> {
    const data: EventData['IMAGE_LOST'] = { imageId: image.id, index: image.index, reason };
    await this.db.run(MARK_LOST, [image.id, 'IMAGE_LOST', actor, JSON.stringify(data), reason]);
  }

  /** Marks an image as deleted and writes IMAGE_DELETED. False when the workspace has no such image. */
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
      auditParameter(audit),
    ];
    return (await this.db.run(MARK_DELETED, values)).length > 0;
  }

  /** Up to `limit` images that were stored before `time`, oldest first, without deleted ones. */
  async findStoredBefore(time: Date, limit: number): Promise<Pick<Image, 'id' | 'workspaceId' | 'index'>[]> {
    return this.db.run(FIND_STORED_BEFORE, [time, limit]);
  }

  /** A page of all stored images, by ID, after the image `after`. */
  async listStored(after: string, limit: number): Promise<StoredImage[]> {
    return this.db.run<StoredImage>(LIST_STORED, [after, limit]);
  }
}

/** An image and its prompt, which is null for an uploaded image. */
export type ImageWithPrompt = Image & { prompt: string | null };

/** The fields of an image that the store check reads. `sha256` is in hex. */
export interface StoredImage {
  id: string;
  upstreamUrl: string | null;
  sha256: string;
}
