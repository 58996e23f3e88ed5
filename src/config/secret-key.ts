import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigInvalid } from '../core/errors.js';
import { newId } from '../core/primitives/ids.js';
import { removeStaleFiles } from '../storage/incoming-files.js';

/** The length of an HMAC-SHA-256. */
const RANDOM_BYTES = 32;
/** The key is the text of the file, so that it can also be set as SECRET_KEY or SECRET_KEY_PREVIOUS. */
const KEY_LENGTH = Buffer.alloc(RANDOM_BYTES).toString('base64').length;

const TEMPORARY_PREFIX = '.secret-key-';

/**
 * Returns the installation's secret key. The first start creates it in the data directory, readable only by its owner. The
 * file is written atomically, also when several instances start at once. Throws ConfigInvalid when it is damaged, or the data
 * directory cannot be used.
 */
export async function loadOrCreateSecretKey(dataDir: string): Promise<Buffer> {
  const path = join(dataDir, 'secret-key');
  // What a process that was killed while it created the key has left.
  await removeStaleFiles(dataDir, (name) => name.startsWith(TEMPORARY_PREFIX)).catch(() => 0);
  const key = await readOrCreateKey(dataDir, path).catch((error: unknown) => {
    const { code } = error as NodeJS.ErrnoException;
    throw new ConfigInvalid(
      `DATA_DIR: ${dataDir} cannot be used (${code ?? String(error)}). It must be a folder that this user can read and write. Create it, change its owner with chown, or set another DATA_DIR.`,
    );
  });
  if (key.length >= KEY_LENGTH) return key;
  throw new ConfigInvalid(
    `${path} does not hold a key of ${KEY_LENGTH} characters. Restore it from a backup, or delete it to create a new key. ` +
      'With a new key, existing links, cursors, client tokens and webhook secrets stop working.',
  );
}

async function readOrCreateKey(dataDir: string, path: string): Promise<Buffer> {
  return (await readKey(path)) ?? (await createKey(dataDir, path));
}

async function readKey(path: string): Promise<Buffer | null> {
  try {
    return Buffer.from((await readFile(path, 'utf8')).trim());
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

async function createKey(dataDir: string, path: string): Promise<Buffer> {
  const temporaryPath = join(dataDir, `${TEMPORARY_PREFIX}${newId()}`);
  await mkdir(dataDir, { recursive: true });
  try {
    const text = `${randomBytes(RANDOM_BYTES).toString('base64')}\n`;
    await writeFile(temporaryPath, text, { mode: 0o600, flag: 'wx', flush: true });
    // Unlike a rename, a link does not replace the key of an instance that was faster.
    await link(temporaryPath, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(temporaryPath, { force: true });
  }
  return (await readKey(path)) ?? Buffer.alloc(0);
}
