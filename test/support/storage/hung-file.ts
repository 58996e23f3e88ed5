import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, unlinkSync } from 'node:fs';

/** Creates a file that hangs whoever opens it for reading or for writing, like a disk that does not answer. */
export class HungFile {
  private constructor(private readonly path: string) {}

  static create(path: string): HungFile {
    // Opening a pipe hangs until another process opens its other end.
    // eslint-disable-next-line portable/syntax -- Node cannot make a pipe, and the tests that need one do not run on Windows
    execFileSync('mkfifo', [path]);
    return new HungFile(path);
  }

  /**
   * Ends the waiting of all who opened it, who find it empty, and removes it. In this thread, because those who wait can have
   * taken all the others, and an opener that came later would keep one for as long as the process lives.
   */
  release(): void {
    const bothEnds = openSync(this.path, constants.O_RDWR | constants.O_NONBLOCK);
    unlinkSync(this.path);
    closeSync(bothEnds);
  }
}
