import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** As long as the HMAC-SHA-256 that it keys. */
const SECRET_BYTES = 32;

/** The installation's own secret, made at its first start and kept in the data directory, readable by its owner alone. */
export async function keepSecretKey(dataDir: string): Promise<Buffer> {
  const path = join(dataDir, 'secret-key');
  await mkdir(dataDir, { recursive: true });
  const fresh = randomBytes(SECRET_BYTES).toString('base64');
  await writeFile(path, `${fresh}\n`, { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  return Buffer.from((await readFile(path, 'utf8')).trim(), 'base64');
}
