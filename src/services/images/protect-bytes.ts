import { setTimeout as delay } from 'node:timers/promises';
import { StoreUnavailable } from '../../core/errors.js';
import { type BlobRepository } from '../../db/images/blob-repository.js';

/** Removing bytes takes milliseconds. After this time the store counts as failing. */
const MAX_WAIT_MS = 5_000;
const POLL_INTERVAL_MS = 100;

/**
 * Protects bytes that are about to be stored from removal until the returned time. Waits while the same bytes are being
 * removed, and throws StoreUnavailable when that takes too long.
 */
export async function protectBytes(blobs: BlobRepository, sha256: Uint8Array): Promise<Date> {
  const startedAt = performance.now();
  for (;;) {
    const protectedUntil = await blobs.protect(sha256);
    if (protectedUntil) return protectedUntil;
    if (performance.now() - startedAt > MAX_WAIT_MS)
      throw new StoreUnavailable('the same bytes are still being removed', {
        advice: 'Try again in ten minutes.',
      });
    await delay(POLL_INTERVAL_MS);
  }
}
