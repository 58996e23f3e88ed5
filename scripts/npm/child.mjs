import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { ROOT } from './project.mjs';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK'];
/** npm runs this through a shell. A shell that gets a signal may end without telling the programs below it. */
const PARENT_CHECK_INTERVAL_MS = 500;

/**
 * Runs a Node program in the terminal and resolves to how it ended. Waits for it whatever signal arrives, so that the prompt
 * returns when the program has released everything. A signal is passed on, because it may have been sent to this process only.
 * Then Ctrl-C reaches the program twice. Not on Windows, where the console tells every process, and passing on would kill.
 */
export async function runNode(args, { env = {}, stdio = 'inherit' } = {}) {
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio,
    windowsHide: true,
  });
  const passOn = (signal) => process.platform !== 'win32' && child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, passOn);
  const { ppid } = process;
  const watch = setInterval(() => {
    if (process.ppid === ppid) return;
    clearInterval(watch);
    passOn('SIGTERM');
  }, PARENT_CHECK_INTERVAL_MS);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)));
  const [code, signal] = await once(child, 'close');
  clearInterval(watch);
  for (const each of SIGNALS) process.off(each, passOn);
  return { code, signal, output };
}

/** Ends this process as the program ended. */
export function exitLike({ code, signal }) {
  process.exit(signal ? 128 + constants.signals[signal] : code);
}
