import { type PictureFacts } from '../../core/images/image.js';
import { announcedBlob } from './blob-repository.js';
import { type Database } from '../postgres/database.js';

/** A link that takes one picture. */
export interface Upload {
  id: string;
  workspaceId: string;
  actor: string;
  fileName: string | null;
  /** For whom of its own users the workspace asked; null: for itself. */
  endUserId: string | null;
  expiresAt: Date;
  usedAt: Date | null;
}

/** The link is used up and the image is there, stored, in one commit. */
const COMPLETE = {
  name: 'complete-upload',
  text: `
  WITH blob AS (${announcedBlob('$6', '$8')}), upload AS (
    UPDATE uploads SET used_at = now() FROM blob WHERE id = $1 AND used_at IS NULL
    RETURNING id, workspace_id, file_name, end_user_id
  )
  INSERT INTO images (id, workspace_id, index, file_name, end_user_id, width, height, mime_type, byte_size, sha256, thumbhash, stored_at)
  SELECT id, workspace_id, 0, file_name, end_user_id, $2, $3, $4, $5, $6, $7, now() FROM upload RETURNING id`,
};
const FORGET = {
  name: 'forget-uploads',
  text: `DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE expires_at < $1 LIMIT $2) RETURNING id`,
};

/** The rows of `uploads`. */
export class Uploads {
  constructor(private readonly db: Database) {}

  async insert(upload: Omit<Upload, 'usedAt'>): Promise<void> {
    await this.db.read((prisma) => prisma.upload.create({ data: upload }));
  }

  /** Any workspace's upload: the link is signed. */
  async find(id: string): Promise<Upload | null> {
    return this.db.read((prisma) => prisma.upload.findUnique({ where: { id } }));
  }

  /**
   * Writes the image, under the upload's id. False: the link was used meanwhile, or the bytes were announced for no longer
   * than `announcedUntil` and may be gone; then they must be put again.
   */
  async complete(id: string, facts: PictureFacts, announcedUntil: Date): Promise<boolean> {
    const { width, height, mimeType, byteSize, sha256, thumbhash } = facts;
    const values = [id, width, height, mimeType, byteSize, sha256, thumbhash, announcedUntil];
    return (await this.db.run(COMPLETE, values)).length > 0;
  }

  /** Deletes up to `limit` links that expired before `time`; how many it deleted. */
  async forgetBefore(time: Date, limit: number): Promise<number> {
    return (await this.db.run(FORGET, [time, limit])).length;
  }
}
