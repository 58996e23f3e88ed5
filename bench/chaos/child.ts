import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PRODUCTION_ENVIRONMENT } from '../support/production-environment.js';

export interface ChildOptions {
  /** A module below `src` without its extension, such as `main` or `sandbox/main`. */
  module: string;
  env: Readonly<Record<string, string>>;
  /** Its output is appended to this file. */
  logFile: string;
  /** A module of `bench/support` that is loaded first, without its extension. */
  preload?: string;
  onLine?: (line: string) => void;
}

/** A child process. */
export interface Child {
  process: ChildProcess;
  /** Resolves when the process has exited. Never rejects. */
  exited: Promise<void>;
}

/** Whether this program runs compiled. Its children are started in the same way. */
const IS_COMPILED = import.meta.url.endsWith('.js');

/** Starts a Node process that inherits only PATH from the environment, with what an installation sets. */
export function startChild({ module, env, logFile, preload, onLine }: ChildOptions): Child {
  const extension = IS_COMPILED ? 'js' : 'ts';
  const file = fileURLToPath(new URL(`../../src/${module}.${extension}`, import.meta.url));
  const loader = new URL('../../test/support/setup/typescript.mjs', import.meta.url).href;
  const preloaded = preload && new URL(`../support/${preload}.${extension}`, import.meta.url).href;
  const imports = [...(IS_COMPILED ? [] : [loader]), ...(preloaded ? [preloaded] : [])];
  const log = createWriteStream(logFile, { flags: 'a' });
  const child = spawn(process.execPath, [...imports.flatMap((each) => ['--import', each]), file], {
    env: { PATH: process.env['PATH'], ...PRODUCTION_ENVIRONMENT, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) stream.pipe(log, { end: false });
  createInterface(child.stdout).on('line', (line) => onLine?.(line));
  const exited = new Promise<void>((resolve) =>
    child.once('close', () => resolve()).once('error', () => resolve()),
  );
  void exited.then(() => log.end());
  return { process: child, exited };
}

/** Kills the process at once, even if it is paused. */
export async function killChild(child: Child): Promise<void> {
  if (child.process.exitCode !== null || child.process.signalCode !== null) return;
  const exited = once(child.process, 'exit');
  child.process.kill('SIGKILL');
  await exited;
}
