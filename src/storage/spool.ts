import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { singleFlight, SingleFlights } from '../core/primitives/async.js';
import { DiskOperations } from './disk-operations.js';
import { nullIfNotFound, removeStaleFiles } from './incoming-files.js';
import { syncDirectory } from './sync-to-disk.js';

const SUFFIX = '.json';
const UNFINISHED_SUFFIX = '.tmp';

/** Bounds for what a spool keeps. */
export interface SpoolLimits {
  maxFiles: number;
  maxBytes: number;
}

interface SpoolOptions extends Partial<SpoolLimits> {
  /** Shared by the spools on a disk. */
  disk?: DiskOperations;
  /** How long an operation of the disk may take, without `disk`. */
  timeoutMs?: number;
}

/** The spool has no room for another value. */
export class SpoolFull extends Error {
  override readonly name = 'SpoolFull';
}

/**
 * A folder of JSON files that survive a crash of the process and of the machine. For what must not be lost during an outage.
 * Every method but `write` throws DiskStalled when the disk does not answer in time, or the disk's error.
 */
export class Spool {
  /** Bytes by name: of the values that this instance wrote or listed. */
  private readonly sizes = new Map<string, number>();
  private totalBytes = 0;

  private readonly directory: string;
  private readonly limits: SpoolLimits;
  private readonly disk: DiskOperations;
  /** By name, so that a repeated operation takes no further thread while the disk does not answer. */
  private readonly reads = new SingleFlights<string, string | null>();
  private readonly removals = new SingleFlights<string, void>();

  constructor(directory: string, options: SpoolOptions = {}) {
    const { maxFiles = Infinity, maxBytes = Infinity, timeoutMs } = options;
    this.directory = resolve(directory);
    this.limits = { maxFiles, maxBytes };
    this.disk = options.disk ?? new DiskOperations({ timeoutMs });
  }

  /**
   * Resolves when the value is on the disk, which may never answer. Replaces the value of the same name. Throws SpoolFull when
   * the value would take more than `share` of the room, or the disk's error.
   */
  async write(name: string, value: object, { share = 1 } = {}): Promise<void> {
    const text = JSON.stringify(value);
    // Counted before it is written, because others are written meanwhile.
    const sizeBefore = this.sizes.get(name);
    this.setSize(name, Buffer.byteLength(text));
    try {
      const { maxFiles, maxBytes } = this.limits;
      if (this.sizes.size > maxFiles * share || this.totalBytes > maxBytes * share)
        throw new SpoolFull(`The spool has no room for ${name}.`);
      await this.disk.start(() => this.writeDurably(this.pathOf(name), text));
    } catch (error) {
      this.setSize(name, sizeBefore);
      throw error;
    }
  }

  async remove(name: string): Promise<void> {
    const removal = this.removals.run(name, () =>
      this.disk.start(() => rm(this.pathOf(name), { force: true })),
    );
    await this.disk.limit(removal);
    this.setSize(name, undefined);
  }

  /** The names of the values, in the order of the names. */
  readonly list = singleFlight(async (): Promise<string[]> => {
    const files = await this.disk.limit(this.listFiles());
    const names = files
      .filter((file) => file.endsWith(SUFFIX))
      .map((file) => file.slice(0, -SUFFIX.length))
      .sort();
    for (const name of names) {
      const found = this.disk.start(() => stat(this.pathOf(name)).catch(nullIfNotFound));
      this.setSize(name, (await this.disk.limit(found))?.size);
    }
    return names;
  });

  /** The value. Null if another instance with the same folder has removed it. Throws SyntaxError when the file is not JSON. */
  async read(name: string): Promise<unknown> {
    const reading = this.reads.run(name, () =>
      this.disk.start(() => readFile(this.pathOf(name), 'utf8').catch(nullIfNotFound)),
    );
    const text = await this.disk.limit(reading);
    return text === null ? null : JSON.parse(text);
  }

  /** Removes what a process that was killed has left of a value, after an hour. Returns the number of files. */
  readonly cleanUp = singleFlight((): Promise<number> =>
    removeStaleFiles(
      this.directory,
      (name) => name.endsWith(UNFINISHED_SUFFIX),
      (work) => this.disk.limit(this.disk.start(work)),
    ),
  );

  private readonly listFiles = singleFlight(
    async (): Promise<string[]> =>
      (await this.disk.start(() => readdir(this.directory).catch(nullIfNotFound))) ?? [],
  );

  private async writeDurably(path: string, text: string): Promise<void> {
    await this.createDirectory();
    const unfinishedPath = `${path}${UNFINISHED_SUFFIX}`;
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
