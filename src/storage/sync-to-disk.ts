import { open } from 'node:fs/promises';

/**
 * Resolves when the content of a file would survive a power failure. It is opened with `r+`, because some systems do not let
 * readers sync.
 */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+');
  await file.sync().finally(() => file.close());
}

/**
 * Resolves when the names in a folder would survive a power failure. Windows lets no program wait for that (EPERM): NTFS writes
 * names to its journal in their order.
 */
export async function syncDirectory(path: string, platform = process.platform): Promise<void> {
  if (platform === 'win32') return;
  const directory = await open(path, 'r');
  await directory.sync().finally(() => directory.close());
}
