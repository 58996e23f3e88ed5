import { join } from 'node:path';
import { DiskStore } from './disk-store.js';
import { type S3StoreOptions } from './s3-store.js';
import { type ImageStore } from './image-store.js';

/**
 * Opens the image store: the given bucket, or without one the folder `images` in the data directory. Files on their way into
 * a bucket are written to `incoming` in the data directory.
 */
export async function openStore(
  dataDir: string,
  bucket: Omit<S3StoreOptions, 'incomingDirectory'> | null,
): Promise<ImageStore & { destroy?: () => void }> {
  if (!bucket) return new DiskStore(join(dataDir, 'images'));
  // Imported only when needed, because the SDK takes 10 MB of memory.
  const { S3Store } = await import('./s3-store.js');
  return new S3Store({ ...bucket, incomingDirectory: join(dataDir, 'incoming') });
}
