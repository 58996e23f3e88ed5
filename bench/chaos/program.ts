import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RegisterRelease } from '../support/releases.js';
import { TASK_TIMEOUT_SECONDS } from './load.js';
import { type ChaosOptions, InvalidOption, readOptions } from './options.js';
import { SETTLE_GRACE_MS } from './world.js';

/** For the start and the reads at the end. */
const MARGIN_MS = 120_000;

export interface ProgramContext {
  options: ChaosOptions;
  /** For all files of the run. Removed at the end, unless `--keep` was given. */
  dir: string;
  release: RegisterRelease;
  /** Aborted when the program is interrupted or has taken too long. */
  signal: AbortSignal;
}

export interface Program {
  defaults: Pick<ChaosOptions, 'seconds'>;
  /** What a run takes in addition to load and settling. */
  extraMs: number;
  /** Resolves to whether all promises were kept. */
  run: (context: ProgramContext) => Promise<boolean>;
}

/** Runs a program of the command line and ends the process: 0 when promises were kept, 1 when not, 130 when interrupted. */
export async function runProgram({ defaults, extraMs, run }: Program): Promise<void> {
  const releases: (() => Promise<unknown>)[] = [];
  const abort = new AbortController();
  let isReleasing = false;
  const exit = async (exitCode: number) => {
    if (isReleasing) return;
    isReleasing = true;
    abort.abort();
    for (const release of releases.splice(0).reverse()) {
      await release().catch((error: unknown) => console.error('Cleaning up failed:', error));
    }
    process.exit(exitCode);
  };
  try {
    const options = readOptions(process.argv.slice(2), defaults);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void exit(130));
    const maxRunMs =
      options.seconds * 1000 + TASK_TIMEOUT_SECONDS * 1000 + SETTLE_GRACE_MS + MARGIN_MS + extraMs;
    setTimeout(() => {
      console.error(`Not finished after ${maxRunMs / 1000} s. Aborting.`);
      void exit(1);
    }, maxRunMs).unref();
    const dir = await mkdtemp(join(tmpdir(), 'darkroom-chaos-'));
    releases.push(async () => {
      if (options.keep) console.log(`All files were kept in ${dir}`);
      else await rm(dir, { recursive: true, force: true });
    });
    const release: RegisterRelease = (each) => releases.push(each);
    await exit((await run({ options, dir, release, signal: abort.signal })) ? 0 : 1);
  } catch (error) {
    if (!isReleasing) console.error(error instanceof InvalidOption ? error.message : error);
    await exit(1);
  }
}
