/** Registers a function that cleans up when the benchmark ends, for whatever reason. */
export type RegisterRelease = (release: () => Promise<unknown>) => void;

/** The exit code of shells for a process ended by Ctrl-C: 128 plus the number of SIGINT. */
const SIGINT_EXIT_CODE = 130;

/**
 * Runs `work`, then calls the registered functions in reverse order, also after an error and on Ctrl-C. Exits with 1 after an
 * error, and with 130 when interrupted.
 */
export async function withReleases(work: (release: RegisterRelease) => Promise<void>): Promise<void> {
  const releases: (() => Promise<unknown>)[] = [];
  let releasing: Promise<void> | undefined;
  const releaseAll = () => (releasing ??= runReleases(releases));
  const interrupt = () => void releaseAll().then(() => process.exit(SIGINT_EXIT_CODE));
  // Not once: Ctrl-C reaches a program below npm more than once, and the second would end it halfway.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt);
  try {
    await work((release) => releases.push(release));
  } catch (error) {
    if (!releasing) console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
  await releaseAll();
}

/** Calls the functions registered by `work` as soon as it has finished, and only once. */
export async function withOwnReleases<Result>(
  release: RegisterRelease,
  work: (release: RegisterRelease) => Promise<Result>,
): Promise<Result> {
  const releases: (() => Promise<unknown>)[] = [];
  release(() => runReleases(releases)); // for Ctrl-C
  try {
    return await work((own) => releases.push(own));
  } finally {
    await runReleases(releases);
  }
}

async function runReleases(releases: (() => Promise<unknown>)[]): Promise<void> {
  for (let release = releases.pop(); release; release = releases.pop()) {
    await release().catch((error: unknown) => console.error('Cleaning up failed:', error));
  }
}
