/** Registers what must be ended or removed when the bench is over, however it ends. */
export type OnRelease = (release: () => Promise<unknown>) => void;

/** As shells report a process that Ctrl-C ended: 128 and the number of SIGINT. */
const INTERRUPTED = 130;

/**
 * Runs `work`, then releases what it registered, the last one first, also after a failure and on Ctrl-C. Exits with 1
 * after a failure, and with 130 when it was interrupted.
 */
export async function withReleases(work: (release: OnRelease) => Promise<void>): Promise<void> {
  const releases: (() => Promise<unknown>)[] = [];
  let releasing: Promise<void> | undefined;
  const releaseAll = () => (releasing ??= runAll(releases));
  const interrupt = () => void releaseAll().then(() => process.exit(INTERRUPTED));
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  try {
    await work((release) => releases.push(release));
  } catch (error) {
    if (!releasing) console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
  await releaseAll();
}

/** Releases what `work` registers as soon as it has ended, and not twice. */
export async function releasedAfter<Result>(
  release: OnRelease,
  work: (release: OnRelease) => Promise<Result>,
): Promise<Result> {
  const releases: (() => Promise<unknown>)[] = [];
  release(() => runAll(releases)); // for Ctrl-C
  try {
    return await work((own) => releases.push(own));
  } finally {
    await runAll(releases);
  }
}

async function runAll(releases: (() => Promise<unknown>)[]): Promise<void> {
  for (let release = releases.pop(); release; release = releases.pop()) {
    await release().catch((error: unknown) => console.error('Cleaning up failed:', error));
  }
}
