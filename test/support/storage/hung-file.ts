import { execFileSync } from 'node:child_process';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/** Creates a file that hangs whoever opens it for reading or for writing, like a disk that does not answer. */
export class HungFile {
  private constructor(private readonly path: string) {}

  static create(path: string): HungFile {
    // Opening a pipe hangs until another process opens its other end.
    // eslint-disable-next-line portable/syntax -- Node cannot make a pipe, and the tests that need one do not run on Windows
    execFileSync('mkfifo', [path]);
    return new HungFile(path);
  }

  /** Ends the waiting of all who opened it, who find it empty. */
  async release(): Promise<void> {
    const bothEnds = await open(this.path, constants.O_RDWR | constants.O_NONBLOCK);
    await bothEnds.close();
  }
}
