import { type Database } from '../postgres/database.js';

/** Long against the time from storing bytes to the row that has them, a statement later. */
const UNCLAIMED_MINUTES = 10;
/** Others are looked at first, and a store that was away for a moment is back. */
const RETRY_MINUTES = 10;

const TOUCH = {
  name: 'touch-blob',
  text: `
  INSERT INTO blobs (sha256, check_at) VALUES ($1, now() + interval '${UNCLAIMED_MINUTES} minutes')
  ON CONFLICT (sha256) DO UPDATE SET check_at = excluded.check_at
  RETURNING check_at AS "announcedUntil"`,
};
const CLAIM_DUE = `
  SELECT sha256, EXISTS (
    SELECT FROM images WHERE images.sha256 = blobs.sha256 AND images.deleted_at IS NULL
  ) AS "isUsed"
  FROM blobs WHERE check_at <= now() ORDER BY check_at LIMIT 1 FOR UPDATE SKIP LOCKED`;
const KEEP = 'UPDATE blobs SET check_at = NULL WHERE sha256 = $1';
const FORGET = 'DELETE FROM blobs WHERE sha256 = $1';
const POSTPONE = `UPDATE blobs SET check_at = now() + interval '${RETRY_MINUTES} minutes' WHERE sha256 = $1`;
const KNOWN = {
  name: 'known-blobs',
  text: `SELECT encode(sha256, 'hex') AS sha256 FROM blobs WHERE sha256 = ANY($1::bytea[])`,
};

/**
 * SQL for a statement that gives a content to an image, with the parameters that hold its hash and the time until which its
 * bytes were announced. It has a row while that time is not over and the sweep has not begun: then the bytes are there, and
 * stay. That somebody has the row does not suffice: another process may have announced the same bytes after they were
 * removed, and not have put them yet. The lock makes the sweep pass the content by until the image is committed.
 */
export function announcedBlob(sha256: string, announcedUntil: string): string {
  return `SELECT FROM blobs WHERE blobs.sha256 = ${sha256} AND ${announcedUntil}::timestamptz > now() FOR KEY SHARE`;
}

/**
 * The rows of `blobs`: which bytes are in the store. The same bytes can belong to many images, and are removed when the
 * last of them is gone. A row is locked while its bytes are removed, so whoever stores the same ones at that time waits,
 * and then writes them anew.
 */
export class Blobs {
  constructor(private readonly db: Database) {}

  /** Announces bytes that are about to be stored: nobody removes them until the returned time, 10 minutes from now. */
  async touch(sha256: Uint8Array): Promise<Date> {
    const [row] = await this.db.run<{ announcedUntil: Date }>(TOUCH, [sha256]);
    if (!row) throw new Error('An upsert returned no row.');
    return row.announcedUntil;
  }

  /** Those of these contents, in hex, that have a row. */
  async known(sha256s: readonly string[]): Promise<Set<string>> {
    const rows = await this.db.run<{ sha256: string }>(KNOWN, [
      sha256s.map((hex) => Buffer.from(hex, 'hex')),
    ]);
    return new Set(rows.map((row) => row.sha256));
  }

  /**
   * Looks at one content that is due; calls `remove` with it when no image has it any more. False: none was due. When
   * `remove` answers false it is looked at again in 10 minutes; when it rejects, or the process dies, it stays due.
   */
  async sweepOne(remove: (sha256: Buffer) => Promise<boolean>): Promise<boolean> {
    return this.db.transaction(async (query) => {
      const [due] = await query<{ sha256: Buffer; isUsed: boolean }>(CLAIM_DUE, []);
      if (!due) return false;
      if (due.isUsed) await query(KEEP, [due.sha256]);
      else await query((await remove(due.sha256)) ? FORGET : POSTPONE, [due.sha256]);
      return true;
    });
  }
}
