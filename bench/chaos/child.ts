import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface ChildOptions {
  /** A module of ours below `src`, without its ending: `main`, `sandbox/main`. */
  module: string;
  env: Readonly<Record<string, string>>;
  /** Everything it prints is appended here. */
  logFile: string;
  onLine?: (line: string) => void;
}

/** A process that was started here and is ended here, by its own id. */
export interface Child {
  process: ChildProcess;
  /** Resolves when it is gone; never rejects. */
  exited: Promise<void>;
}

/** Whether this harness runs from the build; its children are started the same way. */
const IS_BUILT = import.meta.url.endsWith('.js');

/** Starts a Node process with nothing of our environment but the PATH. */
export function startChild({ module, env, logFile, onLine }: ChildOptions): Child {
  const file = fileURLToPath(new URL(`../../src/${module}.${IS_BUILT ? 'js' : 'ts'}`, import.meta.url));
  const loader = fileURLToPath(new URL('../../test/support/setup/typescript.mjs', import.meta.url));
  const log = createWriteStream(logFile, { flags: 'a' });
  const child = spawn(process.execPath, [...(IS_BUILT ? [] : ['--import', loader]), file], {
    env: { PATH: process.env['PATH'], ...env },
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

/** Ends it at once, also when it is stopped. */
export async function killChild(child: Child): Promise<void> {
  if (child.process.exitCode !== null || child.process.signalCode !== null) return;
  const gone = once(child.process, 'exit');
  child.process.kill('SIGKILL');
  await gone;
}
