import { type Database } from '../postgres/database.js';
import { statement } from '../postgres/statement.js';

/** Much longer than the time between storing bytes and inserting the row that uses them, one statement later. */
const PROTECTION_MINUTES = 10;
/**
 * How long bytes that are being removed must not be stored again. Much longer than a removal takes, because a store may carry
 * out a request whose response was given up. After a failure, the removal is tried again after this time.
 */
const REMOVAL_MINUTES = 10;

const PROTECT = statement<{ sha256: Uint8Array }, { protectedUntil: Date }>(
  'protect-blob',
  `
  INSERT INTO blobs (sha256, check_at) VALUES (:sha256, now() + interval '${PROTECTION_MINUTES} minutes')
  ON CONFLICT (sha256) DO UPDATE SET check_at = excluded.check_at, being_removed = false
    WHERE NOT (blobs.being_removed AND blobs.check_at > now())
  RETURNING check_at AS "protectedUntil"`,
);
const CLAIM_UNUSED = statement<object, BlobClaim>(
  'claim-unused-blob',
  `SELECT claimed_sha256 AS sha256, claimed_until AS "claimedUntil" FROM claim_unused_blob(${REMOVAL_MINUTES})`,
);
const CLAIM_ORPHAN = statement<{ sha256: Uint8Array }, BlobClaim>(
  'claim-orphaned-blob',
  `
  INSERT INTO blobs (sha256, check_at, being_removed) VALUES (:sha256, now() + interval '${REMOVAL_MINUTES} minutes', true)
  ON CONFLICT (sha256) DO NOTHING RETURNING sha256, check_at AS "claimedUntil"`,
);

/**
 * SQL of a query for a statement that assigns a blob to an image. The statement needs the parameters `:sha256` and
 * `:protectedUntil`. The query returns a row only while the protection lasts: then the bytes exist. The existence of the row
 * of the blob is not enough, because another process can have protected the same bytes after they were removed, and not have
 * stored them yet. The lock makes `delete-unused-blobs` skip the blob until the image is committed. A statement that waited for it
 * finds that the bytes are being removed.
 */
export const LOCK_PROTECTED_BLOB_SQL =
  'SELECT FROM blobs WHERE blobs.sha256 = :sha256 AND NOT blobs.being_removed AND :protectedUntil::timestamptz > now() FOR KEY SHARE';

/** The right to remove the bytes of a blob. */
export interface BlobClaim {
  sha256: Buffer;
  /** No process stores the bytes before this time. */
  claimedUntil: Date;
}

/**
 * The rows of `blobs`: the bytes in the image store. Several images can have the same bytes, which are removed after the last
 * of them is deleted. While they are removed, no process stores the same bytes.
 */
export class BlobRepository {
  constructor(private readonly db: Database) {}

  /**
   * Protects bytes that are about to be stored from removal until the returned time, 10 minutes from now. Null: they are being
   * removed at the moment, and must not be stored before that has ended.
   */
  async protect(sha256: Uint8Array): Promise<Date | null> {
    const [row] = await this.db.query(PROTECT, { sha256 });
    return row?.protectedUntil ?? null;
  }

  /** The hashes among these, in hex, that have a row. */
  async findExisting(sha256s: readonly string[]): Promise<Set<string>> {
    const hashes = sha256s.map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')));
    const where = { sha256: { in: hashes } };
    const rows = await this.db.prisma.blob.findMany({ where, select: { sha256: true } });
    return new Set(rows.map(({ sha256 }) => Buffer.from(sha256).toString('hex')));
  }

  /**
   * Claims a blob that is due and that no image uses. Null when there is none. If it is not removed, it is due again in 10
   * minutes.
   */
  async claimUnused(): Promise<BlobClaim | null> {
    return (await this.db.query(CLAIM_UNUSED, {}))[0] ?? null;
  }

  /** Claims bytes whose blob has no row. Null when it has one by now. */
  async claimOrphan(sha256: Uint8Array): Promise<BlobClaim | null> {
    return (await this.db.query(CLAIM_ORPHAN, { sha256 }))[0] ?? null;
  }

  /** Deletes the row of a blob whose bytes were removed, unless another process has claimed or protected it since. */
  async deleteClaimed({ sha256, claimedUntil }: BlobClaim): Promise<void> {
    const where = { sha256: Uint8Array.from(sha256), beingRemoved: true, checkAt: claimedUntil };
    await this.db.prisma.blob.deleteMany({ where });
  }
}
