import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { nullIfNotFound } from './incoming-files.js';

const SUFFIX = '.json';

/** Bounds for what a spool keeps. */
export interface SpoolLimits {
  maxFiles: number;
  maxBytes: number;
}

/** The spool has no room for another value. */
export class SpoolFull extends Error {
  override readonly name = 'SpoolFull';
}

/** A folder of JSON files that survive a crash of the process and of the machine. For what must not be lost during an outage. */
export class Spool {
  /** Bytes by name: of the values that this instance wrote or listed. */
  private readonly sizes = new Map<string, number>();
  private totalBytes = 0;

  private readonly directory: string;

  constructor(
    directory: string,
    private readonly limits: SpoolLimits = { maxFiles: Infinity, maxBytes: Infinity },
  ) {
    this.directory = resolve(directory);
  }

  /** Resolves when the value is on the disk. Replaces the value of the same name. Throws SpoolFull, or the disk's error. */
  async write(name: string, value: object): Promise<void> {
    const text = JSON.stringify(value);
    // Counted before it is written, because others are written meanwhile.
    const sizeBefore = this.sizes.get(name);
    this.setSize(name, Buffer.byteLength(text));
    try {
      if (this.sizes.size > this.limits.maxFiles || this.totalBytes > this.limits.maxBytes)
        throw new SpoolFull(`The spool has no room for ${name}.`);
      await this.writeDurably(this.pathOf(name), text);
    } catch (error) {
      this.setSize(name, sizeBefore);
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    await rm(this.pathOf(name), { force: true });
    this.setSize(name, undefined);
  }

  /** The names of the values, in the order of the names. */
  async list(): Promise<string[]> {
    const files = (await readdir(this.directory).catch(nullIfNotFound)) ?? [];
    const names = files
      .filter((file) => file.endsWith(SUFFIX))
      .map((file) => file.slice(0, -SUFFIX.length))
      .sort();
    for (const name of names) this.setSize(name, (await stat(this.pathOf(name)).catch(nullIfNotFound))?.size);
    return names;
  }

  /** The value. Null if another instance with the same folder has removed it. Throws SyntaxError when the file is not JSON. */
  async read(name: string): Promise<unknown> {
    const text = await readFile(this.pathOf(name), 'utf8').catch(nullIfNotFound);
    return text === null ? null : JSON.parse(text);
  }

  private async writeDurably(path: string, text: string): Promise<void> {
    await this.createDirectory();
    const unfinishedPath = `${path}.tmp`;
    try {
      const file = await open(unfinishedPath, 'w');
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unfinishedPath, path);
    } catch (error) {
      // A part of it would take the space that a full disk lacks.
      await rm(unfinishedPath, { force: true }).catch(() => undefined);
      throw error;
    }
    // Until the folder is on the disk, the name is not.
    await syncDirectory(this.directory);
  }

  private async createDirectory(): Promise<void> {
    const created = await mkdir(this.directory, { recursive: true });
    if (created === undefined) return;
    for (let path = this.directory; path.length >= created.length; path = dirname(path))
      await syncDirectory(dirname(path));
  }

  private setSize(name: string, bytes: number | undefined): void {
    this.totalBytes += (bytes ?? 0) - (this.sizes.get(name) ?? 0);
    if (bytes === undefined) this.sizes.delete(name);
    else this.sizes.set(name, bytes);
  }

  private pathOf(name: string): string {
    return join(this.directory, `${name}${SUFFIX}`);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path);
  await directory.sync().finally(() => directory.close());
}
