import { type Image, type PictureFacts } from '../core/image.js';
import { type EventData } from '../core/events.js';
import { type Database } from './database.js';

/** Marks an image as stored, counts it off its task, and tells it; the last one of an ended task settles the task. */
const MARK_STORED = {
  name: 'mark-image-stored',
  text: settleStatement(
    `width = $5, height = $6, mime_type = $7, byte_size = $8, sha256 = $9, thumbhash = $10, stored_at = now()`,
  ),
};
const MARK_LOST = { name: 'mark-image-lost', text: settleStatement(`lost_reason = $5, lost_at = now()`) };

function settleStatement(columns: string): string {
  return `
  WITH image AS (
    UPDATE images SET ${columns} WHERE id = $1 AND stored_at IS NULL AND lost_at IS NULL
    RETURNING workspace_id, task_id, late
  ), task AS (
    UPDATE tasks SET pending_images = pending_images - 1 FROM image
    WHERE tasks.id = image.task_id AND NOT image.late
    RETURNING tasks.pending_images
  )
  INSERT INTO task_events (workspace_id, task_id, type, actor, data, settles)
  SELECT workspace_id, task_id, $2, $3, $4::jsonb, coalesce((SELECT pending_images = 0 FROM task), false)
  FROM image`;
}

/** The rows of `images`. */
export class Images {
  constructor(private readonly db: Database) {}

  /** Any workspace's image: for serving by its unguessable id, and for our own work. */
  async find(id: string): Promise<Image | null> {
    return this.db.read((prisma) => prisma.image.findUnique({ where: { id } }));
  }

  /** The workspace's images among these ids, in no order. */
  async findMany(workspaceId: string, ids: readonly string[]): Promise<Image[]> {
    return this.db.read((prisma) => prisma.image.findMany({ where: { workspaceId, id: { in: [...ids] } } }));
  }

  /** The images of these tasks, late ones included, in the upstream's order. */
  async findByTasks(taskIds: readonly string[]): Promise<Image[]> {
    return this.db.read((prisma) =>
      prisma.image.findMany({ where: { taskId: { in: [...taskIds] } }, orderBy: { index: 'asc' } }),
    );
  }

  /** Fills in what the bytes told and writes IMAGE_STORED. Does nothing when the image is settled already. */
  async markStored(image: Image, facts: PictureFacts, actor: string): Promise<void> {
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
    const values = [width, height, mimeType, byteSize, sha256, thumbhash];
    await this.db.run(MARK_STORED, [image.id, 'IMAGE_STORED', actor, JSON.stringify(data), ...values]);
  }

  /** Gives an image up and writes IMAGE_LOST with the reason. Does nothing when the image is settled already. */
  async markLost(image: Image, reason: string, actor: string): Promise<void> {
    const data: EventData['IMAGE_LOST'] = { imageId: image.id, index: image.index, reason };
    await this.db.run(MARK_LOST, [image.id, 'IMAGE_LOST', actor, JSON.stringify(data), reason]);
  }
}
