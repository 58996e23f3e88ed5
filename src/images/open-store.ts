import { join } from 'node:path';
import { DiskStore } from './disk-store.js';
import { S3Store, type S3StoreOptions } from './s3-store.js';
import { type ImageStore } from './store.js';

/** The bucket, or without one the folder `images` in the data directory; files on their way go through that directory. */
export function openStore(
  dataDir: string,
  bucket: Omit<S3StoreOptions, 'forcePathStyle' | 'incomingDirectory'> | null,
): ImageStore & { destroy?: () => void } {
  if (!bucket) return new DiskStore(join(dataDir, 'images'));
  return new S3Store({ ...bucket, forcePathStyle: true, incomingDirectory: join(dataDir, 'incoming') });
}
