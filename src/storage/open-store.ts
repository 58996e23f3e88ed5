import { join } from 'node:path';
import { DiskStore } from './disk-store.js';
import { type S3StoreOptions } from './s3-store.js';
import { type ImageStore } from './image-store.js';

/** The bucket, or without one the folder `images` in the data directory; files on their way go through that directory. */
export async function openStore(
  dataDir: string,
  bucket: Omit<S3StoreOptions, 'forcePathStyle' | 'incomingDirectory'> | null,
): Promise<ImageStore & { destroy?: () => void }> {
  if (!bucket) return new DiskStore(join(dataDir, 'images'));
  // The SDK takes 10 MB of memory, which a folder does not need.
  const { S3Store } = await import('./s3-store.js');
  return new S3Store({ ...bucket, forcePathStyle: true, incomingDirectory: join(dataDir, 'incoming') });
}
