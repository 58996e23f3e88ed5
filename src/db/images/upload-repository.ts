import { type ImageProperties } from '../../core/images/image.js';
import { lockProtectedBlobSql } from './blob-repository.js';
import { type Database } from '../postgres/database.js';

/** A signed link that accepts one image. */
export interface Upload {
  id: string;
  workspaceId: string;
  actor: string;
  fileName: string | null;
  /** The workspace's own ID of the user that the upload is for. Null: the workspace itself. */
  endUserId: string | null;
  expiresAt: Date;
  usedAt: Date | null;
}

/** Marks the link as used and inserts the stored image, in one commit. */
const COMPLETE_UPLOAD = {
  name: 'complete-upload',
  text: `
  WITH blob AS (${lockProtectedBlobSql('$6', '$8')}), upload AS (
    UPDATE uploads SET used_at = now() FROM blob WHERE id = $1 AND used_at IS NULL
    RETURNING id, workspace_id, file_name, end_user_id
  )
  INSERT INTO images (id, workspace_id, index, file_name, end_user_id, width, height, mime_type, byte_size, sha256, thumbhash, stored_at)
  SELECT id, workspace_id, 0, file_name, end_user_id, $2, $3, $4, $5, $6, $7, now() FROM upload RETURNING id`,
};
const DELETE_EXPIRED = {
  name: 'delete-expired-uploads',
  text: `DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE expires_at < $1 LIMIT $2) RETURNING id`,
};

/** The rows of `uploads`. */
export class UploadRepository {
  constructor(private readonly db: Database) {}

  async insert(upload: Omit<Upload, 'usedAt'>): Promise<void> {
    await this.db.withPrisma((prisma) => prisma.upload.create({ data: upload }));
  }

  /** An upload of any workspace, because the link is signed. */
  async find(id: string): Promise<Upload | null> {
    return this.db.withPrisma((prisma) => prisma.upload.findUnique({ where: { id } }));
  }

  /**
   * Inserts the image with the ID of the upload. False: the link was used meanwhile, or the bytes were protected only until
   * `protectedUntil` and may be gone. In the second case, store them again.
   */
  async complete(id: string, properties: ImageProperties, protectedUntil: Date): Promise<boolean> {
    const { width, height, mimeType, byteSize, sha256, thumbhash } = properties;
    const values = [id, width, height, mimeType, byteSize, sha256, thumbhash, protectedUntil];
    return (await this.db.run(COMPLETE_UPLOAD, values)).length > 0;
  }

  /** Deletes up to `limit` links that expired before `time`. Returns the number of deleted links. */
  async deleteExpiredBefore(time: Date, limit: number): Promise<number> {
    return (await this.db.run(DELETE_EXPIRED, [time, limit])).length;
  }
}
