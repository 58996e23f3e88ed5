import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type RegisterRelease } from './releases.js';

/** A child process of a benchmark that executes one command at a time. */
export interface HelperProcess<Command, Result> {
  pid: number;
  /** Executes a command. Rejects with the helper's error. */
  call(command: Command): Promise<Result>;
}

const ARGS_VARIABLE = 'DARKROOM_BENCH_ARGS';

/** In the helper process: its arguments. */
export function helperArgs(): string[] {
  return JSON.parse(process.env[ARGS_VARIABLE] ?? '[]') as string[];
}

type HelperMessage<Result> = { ready: true } | { result: Result } | { failure: string };

/** Starts a module that calls `serveCommands`. Passes `args` in the environment, so that `ps` does not show passwords in them. */
export async function startHelper<Command extends object, Result>(
  module: URL,
  args: readonly string[],
  release: RegisterRelease,
  nodeOptions: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<HelperProcess<Command, Result>> {
  const env = { ...process.env, ...environment, [ARGS_VARIABLE]: JSON.stringify(args) };
  const child = fork(module, { env, execArgv: [...nodeOptions] });
  const exited = once(child, 'exit');
  release(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  const next = async (): Promise<HelperMessage<Result>> => {
    const message = once(child, 'message').then(([value]) => value as HelperMessage<Result>);
    const exitedEarly = exited.then(([code]) =>
      Promise.reject(new Error(`A helper process exited with ${code}.`)),
    );
    exitedEarly.catch(() => undefined);
    const received = await Promise.race([message, exitedEarly]);
    if ('failure' in received) throw new Error(received.failure);
    return received;
  };
  await next();
  const call = async (command: Command): Promise<Result> => {
    child.send(command);
    const message = await next();
    if (!('result' in message)) throw new Error('A helper process sent a result without a command.');
    return message.result;
  };
  return { pid: child.pid ?? 0, call };
}

/** In the helper process: executes commands until the parent ends it. */
export function serveCommands<Command, Result>(handle: (command: Command) => Promise<Result>): void {
  process.on('disconnect', () => process.exit());
  process.on('SIGINT', () => undefined); // Ctrl-C reaches the whole process group, and the parent ends this process
  process.on('message', (command: Command) => {
    handle(command).then(
      (result) => process.send?.({ result }),
      (error: unknown) => process.send?.({ failure: String(error) }),
    );
  });
  process.send?.({ ready: true });
}
