import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** Much longer than the time between storing bytes and inserting the row that uses them, one statement later. */
const PROTECTION_MINUTES = 10;
/** Gives other blobs precedence, and a store that was briefly unavailable time to come back. */
const RETRY_MINUTES = 10;

const PROTECT = statement<{ sha256: Uint8Array }, { protectedUntil: Date }>(
  'protect-blob',
  `
  INSERT INTO blobs (sha256, check_at) VALUES (:sha256, now() + interval '${PROTECTION_MINUTES} minutes')
  ON CONFLICT (sha256) DO UPDATE SET check_at = excluded.check_at
  RETURNING check_at AS "protectedUntil"`,
);
const CLAIM_DUE_BLOB = statement<object, { sha256: Buffer; isUsed: boolean }>(
  'claim-due-blob',
  `
  SELECT sha256, EXISTS (
    SELECT FROM images WHERE images.sha256 = blobs.sha256 AND images.deleted_at IS NULL
  ) AS "isUsed"
  FROM blobs WHERE check_at <= now() ORDER BY check_at LIMIT 1 FOR UPDATE SKIP LOCKED`,
);
const CLEAR_CHECK = statement<{ sha256: Buffer }>(
  'clear-blob-check',
  'UPDATE blobs SET check_at = NULL WHERE sha256 = :sha256',
);
const DELETE_BLOB = statement<{ sha256: Buffer }>('delete-blob', 'DELETE FROM blobs WHERE sha256 = :sha256');
const POSTPONE = statement<{ sha256: Buffer }>(
  'postpone-blob-check',
  `UPDATE blobs SET check_at = now() + interval '${RETRY_MINUTES} minutes' WHERE sha256 = :sha256`,
);

/**
 * SQL of a query for a statement that assigns a blob to an image. The statement needs the parameters `:sha256` and
 * `:protectedUntil`. The query returns a row only while the protection lasts: then the bytes exist. The existence of the row
 * of the blob is not enough, because another process can have protected the same bytes after they were removed, and not have
 * stored them yet. The lock makes the sweep skip the blob until the image is committed.
 */
export const LOCK_PROTECTED_BLOB_SQL =
  'SELECT FROM blobs WHERE blobs.sha256 = :sha256 AND :protectedUntil::timestamptz > now() FOR KEY SHARE';

/**
 * The rows of `blobs`: the bytes in the image store. Several images can have the same bytes, which are removed after the last
 * of them is deleted. The row is locked while the bytes are removed, so a process that stores the same bytes meanwhile waits
 * and then stores them again.
 */
export class BlobRepository {
  constructor(private readonly db: Database) {}

  /** Protects bytes that are about to be stored from removal until the returned time, 10 minutes from now. */
  async protect(sha256: Uint8Array): Promise<Date> {
    const [row] = await this.db.query(PROTECT, { sha256 });
    if (!row) throw new Error('An upsert returned no row.');
    return row.protectedUntil;
  }

  /** The hashes among these, in hex, that have a row. */
  async findExisting(sha256s: readonly string[]): Promise<Set<string>> {
    const hashes = sha256s.map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')));
    const where = { sha256: { in: hashes } };
    const rows = await this.db.prisma.blob.findMany({ where, select: { sha256: true } });
    return new Set(rows.map(({ sha256 }) => Buffer.from(sha256).toString('hex')));
  }

  /**
   * Checks one due blob, and calls `remove` if no image uses it any more. Returns false when none is due. If `remove` returns
   * false, the blob is checked again in 10 minutes. If it rejects, or the process dies, the blob stays due.
   */
  async sweepOne(remove: (sha256: Buffer) => Promise<boolean>): Promise<boolean> {
    return this.db.transaction(async (query) => {
      const [due] = await query(CLAIM_DUE_BLOB, {});
      if (!due) return false;
      const { sha256, isUsed } = due;
      if (isUsed) await query(CLEAR_CHECK, { sha256 });
      else await query((await remove(sha256)) ? DELETE_BLOB : POSTPONE, { sha256 });
      return true;
    });
  }
}
