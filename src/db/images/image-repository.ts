import { type NewAuditEntry } from '../../core/access/audit-entry.js';
import { type Image, type ImageProperties } from '../../core/images/image.js';
import { linkExpiry } from '../../core/images/link-expiry.js';
import { type EventData, type EventType } from '../../core/events/task-event.js';
import { type Visibility } from '../../core/access/visibility.js';
import { enqueueWebhookSql } from '../webhooks/webhook-statements.js';
import { insertAuditSql, auditParameter } from '../access/audit-repository.js';
import { LOCK_PROTECTED_BLOB_SQL } from './blob-repository.js';
import {
  type IngestPostponement,
  IS_PENDING,
  POSTPONE_INGEST,
  QUEUE_DUE_INGESTS,
} from './ingest-statements.js';
import { IMAGE_COLUMNS } from './image-row.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';
import { IS_IMAGE_VISIBLE_SQL } from '../access/visibility-filter.js';

const FIND_IMAGES = statement<Visibility & { ids: readonly string[] }, Image>(
  'find-images',
  `SELECT ${IMAGE_COLUMNS} FROM images image WHERE ${IS_IMAGE_VISIBLE_SQL} AND image.id = ANY(:ids::uuid[])`,
  { useGenericPlan: true, needsSlot: false },
);

const FIND_IMAGES_OF_TASKS = statement<{ workspaceId: string; taskIds: readonly string[] }, Image>(
  'find-images-of-tasks',
  `
  SELECT ${IMAGE_COLUMNS} FROM images image
  WHERE image.workspace_id = :workspaceId AND image.task_id = ANY(:taskIds::uuid[]) ORDER BY image.index`,
  { useGenericPlan: true, needsSlot: false },
);

/** The edits of the image `parentId` after the image `after`. */
interface PageOfEdits {
  parentId: string;
  after: string | null;
  limit: number;
}
/**
 * The index has the edits of an image, but not whose they are. It takes no slot all the same: events are rendered with it, and the
 * edits that others make of an end user's image are few.
 */
const PAGE_OF_EDITS = statement<Visibility & PageOfEdits, Image>(
  'page-of-edits',
  `
  SELECT ${IMAGE_COLUMNS} FROM images image
  WHERE ${IS_IMAGE_VISIBLE_SQL} AND image.parent_id = :parentId AND (:after::uuid IS NULL OR image.id > :after)
  ORDER BY image.id LIMIT :limit`,
  { useGenericPlan: true, needsSlot: false },
);

/** What every change of an image needs. `data` is the JSON of its event. */
interface ImageUpdate {
  id: string;
  actor: string;
  data: string;
}
/**
 * Marks an image as stored, decrements its task's count of pending images, and writes the event. The last image of an ended
 * task settles the task.
 */
const MARK_STORED = statement<ImageUpdate & ImageProperties & { protectedUntil: Date }, { written: boolean }>(
  'mark-image-stored',
  updateImageSql({
    event: 'IMAGE_STORED',
    columns: `width = :width, height = :height, mime_type = :mimeType, byte_size = :byteSize, sha256 = :sha256,
              thumbhash = :thumbhash, decode_error = :decodeError, stored_at = now()`,
    condition: IS_PENDING,
    precondition: LOCK_PROTECTED_BLOB_SQL,
  }),
);
const MARK_LOST = statement<ImageUpdate & { reason: string }>(
  'mark-image-lost',
  updateImageSql({
    event: 'IMAGE_LOST',
    columns: `lost_reason = :reason, lost_at = now()`,
    condition: IS_PENDING,
  }),
);
/**
 * Also works for a pending image, which is then pending no longer. Makes `delete-unused-blobs` check the blob of the image
 * soon.
 */
const MARK_DELETED = statement<ImageUpdate & { workspaceId: string; audit: string }>(
  'mark-image-deleted',
  updateImageSql({
    event: 'IMAGE_DELETED',
    columns: 'deleted_at = now()',
    condition: 'deleted_at IS NULL AND workspace_id = :workspaceId',
    sideEffect: `UPDATE blobs SET check_at = greatest(check_at, now()) FROM image WHERE blobs.sha256 = image.sha256`,
    extraCtes: `,${insertAuditSql('image')}`,
  }),
);

/** The statement returns a row if the image meets the condition. `written` is false if the precondition has no row. */
function updateImageSql({
  event,
  columns,
  condition,
  precondition = 'SELECT',
  sideEffect = 'SELECT',
  extraCtes = '',
}: {
  event: EventType;
  columns: string;
  condition: string;
  precondition?: string;
  sideEffect?: string;
  extraCtes?: string;
}): string {
  return `
  WITH before AS (
    SELECT id, late, stored_at IS NULL AND lost_at IS NULL AS pending FROM images
    WHERE id = :id AND ${condition} FOR NO KEY UPDATE
  ), precondition AS (${precondition}), image AS (
    UPDATE images SET ${columns} FROM before, precondition WHERE images.id = before.id
    RETURNING images.id, workspace_id, task_id, images.sha256, before.late, before.pending
  ), task AS (
    UPDATE tasks SET pending_images = pending_images - (NOT image.late)::int, pending_late_images = pending_late_images - image.late::int
    FROM image WHERE tasks.id = image.task_id AND image.pending
    RETURNING tasks.id, tasks.workspace_id, tasks.webhook_url, pending_images, pending_late_images, late_image_count, image.late
  ), event AS (
    INSERT INTO task_events (workspace_id, task_id, type, actor, data, settles_task)
    SELECT workspace_id, task_id, '${event}', :actor, :data::jsonb,
           coalesce((SELECT pending_images = 0 AND NOT late FROM task), false)
    FROM image WHERE task_id IS NOT NULL
  ), side_effect AS (${sideEffect}
  ),${enqueueWebhookSql(
    // The result comes first, even if the late images of a task that succeeded are stored before it is settled.
    `unnest(CASE WHEN NOT late THEN '{RESULT}'::text[] ELSE '{}' END ||
            CASE WHEN pending_late_images = 0 AND late_image_count > 0 THEN '{LATE_RESULT}'::text[] ELSE '{}' END)`,
    'pending_images = 0',
  )}${extraCtes}
  SELECT image.id IS NOT NULL AS written, (SELECT count(*) FROM wake) AS woken
  FROM before LEFT JOIN image ON image.id = before.id`;
}

/** The rows of `images`. */
export class ImageRepository {
  constructor(private readonly db: Database) {}

  /** An image of any workspace, with its prompt, for serving it by a signed link. */
  async findWithPrompt(id: string): Promise<ImageWithPrompt | null> {
    const include = { task: { select: { prompt: true } } };
    const found = await this.db.prisma.image.findUnique({ where: { id }, include });
    if (!found) return null;
    const { task, ...image } = found;
    return { ...image, prompt: task?.prompt ?? null };
  }

  /** The visible images among these IDs, in no order. */
  async findMany(visibility: Visibility, ids: readonly string[]): Promise<Image[]> {
    return this.db.queryAsCaller(visibility, FIND_IMAGES, { ...visibility, ids });
  }

  /** The images of these tasks of the workspace, late ones included, in the upstream's order. */
  async findByTasks(workspaceId: string, taskIds: readonly string[]): Promise<Image[]> {
    return this.db.queryAsCaller({ workspaceId }, FIND_IMAGES_OF_TASKS, { workspaceId, taskIds });
  }

  /** The images of a task of any workspace, in the upstream's order, for background work. */
  async findByTask(taskId: string): Promise<Image[]> {
    return this.db.prisma.image.findMany({ where: { taskId }, orderBy: { index: 'asc' } });
  }

  /** The images of a task of any workspace that are neither stored, lost nor deleted. */
  async findPending(taskId: string): Promise<PendingImage[]> {
    const where = { taskId, storedAt: null, lostAt: null, deletedAt: null };
    return this.db.prisma.image.findMany({ where, orderBy: { index: 'asc' } });
  }

  /** Queues jobs for images whose next attempt is due, until `maxWaiting` such jobs are due in the queue. */
  async queueDueIngests(maxWaiting: number): Promise<void> {
    await this.db.query(QUEUE_DUE_INGESTS, { maxWaiting });
  }

  /** Sets the time of the next attempt to store a pending image. False: the image is too old for another attempt. */
  async postponeIngest({ id }: Pick<Image, 'id'>, postponement: IngestPostponement): Promise<boolean> {
    const rows = await this.db.query(POSTPONE_INGEST, { id, ...postponement });
    return rows.every(({ isTooOld }) => !isTooOld);
  }

  /** A page of the edits of an image, oldest first. */
  async pageOfEdits(visibility: Visibility, page: PageOfEdits): Promise<Image[]> {
    return this.db.queryAsCaller(visibility, PAGE_OF_EDITS, { ...visibility, ...page });
  }

  /**
   * Sets the properties of the stored bytes and writes IMAGE_STORED. Does nothing when the image is not pending. False: the
   * image is pending, but its bytes were protected only until `protectedUntil` and may be gone. Store them again.
   */
  async markStored(
    { id, index }: Image,
    { properties, ...options }: { properties: ImageProperties; protectedUntil: Date; actor: string },
  ): Promise<boolean> {
    const { width, height, mimeType, byteSize, thumbhash, decodeError } = properties;
    const data: EventData['IMAGE_STORED'] = {
      imageId: id,
      index,
      width,
      height,
      mimeType,
      byteSize,
      thumbhash: thumbhash?.toString('base64') ?? null,
      decodeError,
    };
    const parameters = { id, data: JSON.stringify(data), ...properties, ...options };
    return (await this.db.query(MARK_STORED, parameters)).every(({ written }) => written);
  }

  /** Marks an image as lost and writes IMAGE_LOST with the reason and the link. Does nothing when the image is not pending. */
  async markLost({ id, index, upstreamUrl }: Image, reason: string, actor: string): Promise<void> {
    const upstreamUrlExpiresAt = linkExpiry(upstreamUrl)?.toISOString() ?? null;
    const data: EventData['IMAGE_LOST'] = { imageId: id, index, reason, upstreamUrl, upstreamUrlExpiresAt };
    await this.db.query(MARK_LOST, { id, actor, data: JSON.stringify(data), reason });
  }

  /** Marks an image as deleted and writes IMAGE_DELETED. False when the workspace has no such image. */
  async markDeleted(
    { id, workspaceId, index }: Pick<Image, 'id' | 'workspaceId' | 'index'>,
    options: { reason: EventData['IMAGE_DELETED']['reason']; actor: string; audit?: NewAuditEntry },
  ): Promise<boolean> {
    const { reason, actor, audit } = options;
    const data: EventData['IMAGE_DELETED'] = { imageId: id, index, reason };
    const rows = await this.db.query(MARK_DELETED, {
      id,
      workspaceId,
      actor,
      data: JSON.stringify(data),
      audit: auditParameter(audit),
    });
    return rows.length > 0;
  }

  /** Up to `limit` images that were stored before `time`, oldest first, without deleted ones, after the image `after`. */
  async findStoredBefore(time: Date, limit: number, after: OldImage | null): Promise<OldImage[]> {
    const { storedAt, id } = after ?? {};
    const rows = await this.db.prisma.image.findMany({
      where: {
        storedAt: { lt: time, ...(storedAt && { gte: storedAt }) },
        deletedAt: null,
        ...(storedAt && id && { OR: [{ storedAt: { gt: storedAt } }, { id: { gt: id } }] }),
      },
      select: { id: true, workspaceId: true, index: true, storedAt: true },
      orderBy: [{ storedAt: 'asc' }, { id: 'asc' }],
      take: limit,
    });
    return rows;
  }

  /** A page of all stored images, by ID, after the image `after`. */
  async listStored(after: string, limit: number): Promise<StoredImage[]> {
    const where = { id: { gt: after }, storedAt: { not: null }, deletedAt: null };
    const select = { id: true, upstreamUrl: true, sha256: true };
    const rows = await this.db.prisma.image.findMany({ where, select, orderBy: { id: 'asc' }, take: limit });
    return rows.map(({ sha256, ...image }) => ({
      ...image,
      sha256: Buffer.from(sha256 ?? []).toString('hex'),
    }));
  }
}

export type { IngestPostponement };

/** An image that retention deletes. */
export type OldImage = Pick<Image, 'id' | 'workspaceId' | 'index' | 'storedAt'>;

/** An image that is not stored yet, with the failures so far. */
export type PendingImage = Image & { createdAt: Date } & Pick<
    IngestPostponement,
    'sourceFailures' | 'storeFailures'
  >;

/** An image and its prompt, which is null for an uploaded image. */
export type ImageWithPrompt = Image & { prompt: string | null };

/** The fields of an image that the store check reads. `sha256` is in hex. */
export type StoredImage = Pick<Image, 'id' | 'upstreamUrl'> & { sha256: string };
