import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What git ignores: generated code, and what `npm run peers:install` installs below bench. */
const IGNORED = new Set(['generated', 'node_modules']);

/** The root of the project. The scripts of this folder run before anything is built, so they are plain JavaScript. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The file of a program that a package brings. `node <file>` runs it everywhere, unlike the shell scripts in node_modules/.bin. */
export function programOf(packageName, file) {
  const manifest = createRequire(join(ROOT, 'package.json')).resolve(`${packageName}/package.json`);
  return join(dirname(manifest), ...file.split('/'));
}

/** A hash of the names and the content of files and folders below the root, without IGNORED. */
export function fingerprint(paths) {
  const hash = createHash('sha256');
  for (const file of paths.flatMap(filesBelow).sort()) {
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(ROOT, file)))
      .update('\0');
  }
  return hash.digest('hex');
}

/** The content of a file that says from what something was made. Empty when it is missing. */
export function readStamp(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

function filesBelow(path) {
  const stats = statSync(join(ROOT, path), { throwIfNoEntry: false });
  if (!stats?.isDirectory()) return stats ? [path] : [];
  const names = readdirSync(join(ROOT, path)).filter((name) => !IGNORED.has(name));
  return names.flatMap((name) => filesBelow(`${path}/${name}`));
}
