/**
 * Lets the clients of graphql-ws and graphql-sse resume by cursor. Copy this file into a frontend. It imports nothing.
 *
 * Both clients reconnect by themselves and repeat their original request, which would repeat or miss events. They
 * serialise the request for each connection, so it is enough to keep its `after` at the last delivered event.
 */
export type Request = { query: string; variables?: Record<string, unknown> | null };
export type Result = { data?: Record<string, { cursor?: unknown } | null> | null };

export interface Sink {
  next(result: Result): void;
  error(error: unknown): void;
  complete(): void;
}

/** The part of a client that `withResume` needs. */
export interface SubscriptionClient {
  subscribe(request: Request, sink: Sink, ...more: unknown[]): () => void;
}

const CANNOT_RESUME =
  'This subscription cannot resume. Declare a variable $after and select the field `cursor`.';

/**
 * Wraps a client so that its subscriptions resume after the last delivered event, without gaps or duplicates. They must
 * have a variable `$after` and select `cursor`, or they end with an error. Always pass an `after`: a connection that is
 * lost before the first event resumes from it. Queries and mutations are unchanged.
 */
export function withResume<Client extends SubscriptionClient>(client: Client): Client {
  const subscribe: SubscriptionClient['subscribe'] = (request, sink, ...rest) => {
    if (/^[ \t]*subscription\b/m.test(request.query) && !/\$after\b[^]*\bcursor\b/.test(request.query)) {
      sink.error(new Error(CANNOT_RESUME));
      return () => {};
    }
    const variables: Record<string, unknown> = { ...request.variables };
    const next = (result: Result) => {
      const [event] = Object.values(result.data ?? {});
      if (typeof event?.cursor === 'string') variables.after = event.cursor;
      sink.next(result);
    };
    const onEnd = { error: (error: unknown) => sink.error(error), complete: () => sink.complete() };
    return client.subscribe({ ...request, variables }, { next, ...onEnd }, ...rest);
  };
  /** Queues results until they are consumed. `after` advances on arrival, or a reconnect would repeat them. */
  const iterate = (request: Request, ...rest: unknown[]) => {
    const queue: { result?: Result; error?: unknown }[] = [];
    let wake = () => {};
    const enqueue = (step: { result?: Result; error?: unknown }) => {
      queue.push(step);
      wake();
    };
    const onEnd = { error: (error: unknown) => enqueue({ error }), complete: () => enqueue({}) };
    const unsubscribe = subscribe(request, { next: (result) => enqueue({ result }), ...onEnd }, ...rest);
    async function* drain() {
      for (;;) {
        const step = queue.shift();
        if (step?.result) yield step.result;
        else if (step && 'error' in step) throw step.error;
        else if (step) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    }
    // The generator's own `return` would wait for the next result.
    const stop = () => {
      unsubscribe();
      onEnd.complete();
      return Promise.resolve({ done: true, value: undefined });
    };
    return Object.assign(drain(), { return: stop });
  };
  return { ...client, subscribe, iterate };
}

/** Waits before a reconnect, for `retryWait` or `retry`: 0.5 to 1 s before the first one, then longer, up to 10 to 20 s. */
export function retryDelay(retries: number): Promise<void> {
  const ms = Math.min(500 * 2 ** retries, 10_000);
  return new Promise((resolve) => setTimeout(resolve, ms * (1 + Math.random())));
}
