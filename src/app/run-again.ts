import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { SHUTDOWN_MESSAGE, ShutdownRequest } from './shutdown-request.js';

/**
 * Runs this program once more in another environment, and resolves to its exit code. It is asked to end when this process is.
 * If this process is killed, it notices that the channel is closed.
 */
export async function runAgain(env: NodeJS.ProcessEnv): Promise<number> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    env,
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    windowsHide: true,
  });
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  void new ShutdownRequest().exitCode.then(() => {
    if (child.connected) child.send(SHUTDOWN_MESSAGE);
  });
  const [code, signal] = await exited;
  return code ?? 128 + (signal ? constants.signals[signal] : 0);
}
