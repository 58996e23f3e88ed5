import { execFile } from 'node:child_process';
import { mkdir, statfs } from 'node:fs/promises';
import { promisify } from 'node:util';

/** More than a run of an hour writes. Memory is only used for what is written. */
const SIZE = '4g';
/** What is written between the measurement and the change. Smaller than what a fault writes. */
const SPARE_BYTES = 64 * 1024;
const MAX_ATTEMPTS = 20;

/** A folder on a file system in memory that can be made full at any time. Only root on Linux can mount one. */
export class LimitedDisk {
  private constructor(
    readonly folder: string,
    /** Why the folder is an ordinary one, which cannot be made full. Null if it is not. */
    readonly reasonUnlimited: string | null,
  ) {}

  /** Creates the folder. */
  static async mount(folder: string): Promise<LimitedDisk> {
    await mkdir(folder, { recursive: true });
    const reason = await run('mount', ['-t', 'tmpfs', '-o', `size=${SIZE},mode=0755`, 'tmpfs', folder]).then(
      () => null,
      (error: Error) => `no file system can be mounted (${error.message.trim().split('\n').at(-1)})`,
    );
    return new LimitedDisk(folder, reason);
  }

  /** Leaves almost no space, by shrinking the file system to its contents. Filling it would take the memory of the machine. */
  async fill(): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      const { bsize, blocks, bfree } = await statfs(this.folder);
      try {
        return await this.resize(String((blocks - bfree) * bsize + SPARE_BYTES));
      } catch (error) {
        // More was written in the meantime. A file system does not become smaller than its contents.
        if (attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }

  /** Gives the space back. */
  async free(): Promise<void> {
    await this.resize(SIZE);
  }

  /** Loses the contents. */
  async unmount(): Promise<void> {
    if (this.reasonUnlimited === null) await run('umount', ['--lazy', this.folder]);
  }

  private async resize(size: string): Promise<void> {
    await run('mount', ['-o', `remount,size=${size}`, this.folder]);
  }
}

async function run(program: string, args: readonly string[]): Promise<void> {
  await promisify(execFile)(program, [...args]);
}
