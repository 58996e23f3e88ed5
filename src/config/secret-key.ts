import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigInvalid } from '../core/errors.js';
import { newId } from '../core/primitives/ids.js';

/** As long as the HMAC-SHA-256 that it keys. */
const SECRET_BYTES = 32;

/**
 * The installation's own secret, made at its first start and kept in the data directory, readable by its owner alone. The
 * file appears whole or not at all, also when several instances start at once. Throws ConfigInvalid when it is damaged.
 */
export async function keepSecretKey(dataDir: string): Promise<Buffer> {
  const path = join(dataDir, 'secret-key');
  const key = (await readKey(path)) ?? (await makeKey(dataDir, path));
  if (key.length >= SECRET_BYTES) return key;
  throw new ConfigInvalid(
    `${path} does not hold a key of ${SECRET_BYTES} bytes. Restore it from a backup, or remove it to have a new one ` +
      'made: callback links and cursors that were handed out stop working then.',
  );
}

async function readKey(path: string): Promise<Buffer | null> {
  try {
    return Buffer.from((await readFile(path, 'utf8')).trim(), 'base64');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

async function makeKey(dataDir: string, path: string): Promise<Buffer> {
  const temporary = join(dataDir, `.secret-key-${newId()}`);
  await mkdir(dataDir, { recursive: true });
  try {
    const text = `${randomBytes(SECRET_BYTES).toString('base64')}\n`;
    await writeFile(temporary, text, { mode: 0o600, flag: 'wx', flush: true });
    // Unlike a rename, a link does not replace the key of an instance that was quicker.
    await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(temporary, { force: true });
  }
  return (await readKey(path)) ?? Buffer.alloc(0);
}
