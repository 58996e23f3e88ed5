import { type DecodedProperties, type ImageProperties } from '../../core/images/image.js';
import { LOCK_PROTECTED_BLOB_SQL } from './blob-repository.js';
import { type Prisma } from '../generated/client.js';
import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** A signed link that accepts one image. */
export type Upload = Prisma.UploadGetPayload<{ omit: typeof WITHOUT_CREATION_TIME }>;

const WITHOUT_CREATION_TIME = { createdAt: true } as const satisfies Prisma.UploadOmit;

/** Bytes that cannot be decoded are refused. */
type UploadProperties = DecodedProperties & Pick<ImageProperties, 'byteSize' | 'sha256'>;

/** Marks the link as used and inserts the stored image, in one commit. */
const COMPLETE = statement<{ id: string; protectedUntil: Date } & UploadProperties, { id: string }>(
  'complete-upload',
  `
  WITH blob AS (${LOCK_PROTECTED_BLOB_SQL}), upload AS (
    UPDATE uploads SET used_at = now() FROM blob WHERE id = :id AND used_at IS NULL
    RETURNING id, workspace_id, file_name, end_user_id
  )
  INSERT INTO images (id, workspace_id, index, file_name, end_user_id, width, height, mime_type, byte_size, sha256, thumbhash, stored_at)
  SELECT id, workspace_id, 0, file_name, end_user_id, :width, :height, :mimeType, :byteSize, :sha256, :thumbhash, now()
  FROM upload RETURNING id`,
);

/** The rows of `uploads`. */
export class UploadRepository {
  constructor(private readonly db: Database) {}

  async insert(upload: Omit<Upload, 'usedAt'>): Promise<void> {
    await this.db.prisma.upload.create({ data: upload });
  }

  /** An upload of any workspace, because the link is signed. */
  async find(id: string): Promise<Upload | null> {
    return this.db.prisma.upload.findUnique({ where: { id }, omit: WITHOUT_CREATION_TIME });
  }

  /**
   * Inserts the image with the ID of the upload. False: the link was used meanwhile, or the bytes were protected only until
   * `protectedUntil` and may be gone. In the second case, store them again.
   */
  async complete(id: string, properties: UploadProperties, protectedUntil: Date): Promise<boolean> {
    const inserted = await this.db.query(COMPLETE, { ...properties, id, protectedUntil });
    return inserted.length > 0;
  }

  /** Deletes up to `limit` links that expired before `time`. Returns the number of deleted links. */
  async deleteExpiredBefore(time: Date, limit: number): Promise<number> {
    const where = { expiresAt: { lt: time } };
    return (await this.db.prisma.upload.deleteMany({ where, limit })).count;
  }
}
