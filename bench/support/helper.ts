import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type OnRelease } from './releases.js';

/** A process of the bench's own that does what it is asked to, one order at a time, and is idle otherwise. */
export interface Helper<Order, Answer> {
  pid: number;
  /** Rejects with the helper's failure: then nothing was measured. */
  ask(order: Order): Promise<Answer>;
}

const ARGS_VARIABLE = 'DARKROOM_BENCH_ARGS';

/** In the helper: what it was started with. */
export function helperArgs(): string[] {
  return JSON.parse(process.env[ARGS_VARIABLE] ?? '[]') as string[];
}

type Message<Answer> = { ready: true } | { answer: Answer } | { failure: string };

/** Starts a module that calls `serveOrders`, with `args` in its environment: passwords in it are not for every `ps`. */
export async function startHelper<Order extends object, Answer>(
  module: URL,
  args: readonly string[],
  release: OnRelease,
  nodeOptions: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<Helper<Order, Answer>> {
  const env = { ...process.env, ...environment, [ARGS_VARIABLE]: JSON.stringify(args) };
  const child = fork(module, { env, execArgv: [...nodeOptions] });
  const exited = once(child, 'exit');
  release(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  const next = async (): Promise<Message<Answer>> => {
    const answer = once(child, 'message').then(([message]) => message as Message<Answer>);
    const gone = exited.then(([code]) => Promise.reject(new Error(`A helper process ended with ${code}.`)));
    gone.catch(() => undefined);
    const message = await Promise.race([answer, gone]);
    if ('failure' in message) throw new Error(message.failure);
    return message;
  };
  await next();
  const ask = async (order: Order): Promise<Answer> => {
    child.send(order);
    const message = await next();
    if (!('answer' in message)) throw new Error('A helper process answered out of turn.');
    return message.answer;
  };
  return { pid: child.pid ?? 0, ask };
}

/** In the helper: answers orders until the parent ends it. */
export function serveOrders<Order, Answer>(obey: (order: Order) => Promise<Answer>): void {
  process.on('disconnect', () => process.exit());
  process.on('SIGINT', () => undefined); // Ctrl-C reaches all of us; the parent ends us when it is time
  process.on('message', (order: Order) => {
    obey(order).then(
      (answer) => process.send?.({ answer }),
      (error: unknown) => process.send?.({ failure: String(error) }),
    );
  });
  process.send?.({ ready: true });
}
