import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { nullIfNotFound } from './incoming-files.js';

const SUFFIX = '.json';

/** A folder of JSON files that survive a crash of the process and of the machine. For what must not be lost during an outage. */
export class Spool {
  constructor(private readonly directory: string) {}

  /** Resolves when the value is on the disk. Replaces the value of the same name. */
  async write(name: string, value: object): Promise<void> {
    await mkdir(this.directory, { recursive: true });
    const path = this.pathOf(name);
    const unfinishedPath = `${path}.tmp`;
    const file = await open(unfinishedPath, 'w');
    try {
      await file.writeFile(JSON.stringify(value));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(unfinishedPath, path);
    // Until the folder is on the disk, the name is not.
    const folder = await open(this.directory);
    await folder.sync().finally(() => folder.close());
  }

  async remove(name: string): Promise<void> {
    await rm(this.pathOf(name), { force: true });
  }

  /** The names of the values, in the order of the names. */
  async list(): Promise<string[]> {
    const files = (await readdir(this.directory).catch(nullIfNotFound)) ?? [];
    return files
      .filter((file) => file.endsWith(SUFFIX))
      .map((file) => file.slice(0, -SUFFIX.length))
      .sort();
  }

  /** The value. Throws SyntaxError when the file is not JSON. */
  async read(name: string): Promise<unknown> {
    return JSON.parse(await readFile(this.pathOf(name), 'utf8'));
  }

  private pathOf(name: string): string {
    return join(this.directory, `${name}${SUFFIX}`);
  }
}
