/**
 * Resume by cursor, for the clients of graphql-ws and graphql-sse. Copy this file into a frontend: it imports nothing.
 *
 * Both connect again by themselves, and then ask as they asked at first: what came since comes a second time, or, without
 * `after`, what happened in between is missed. But they write the request anew for each connection, so it is enough to
 * keep its `after` at the last event delivered.
 */
export type Request = { query: string; variables?: Record<string, unknown> | null };
export type Result = { data?: Record<string, { cursor?: unknown } | null> | null };

export interface Sink {
  next(result: Result): void;
  error(error: unknown): void;
  complete(): void;
}

/** What is needed of a client. */
export interface SubscribingClient {
  subscribe(request: Request, sink: Sink, ...more: unknown[]): () => void;
}

/**
 * The same client, whose subscriptions go on after the last event delivered: none is missed, none comes twice. They need
 * a variable `$after` and select `cursor`; one without ends with an error. Queries and mutations pass as they are. A drop
 * before the first event goes on from the `after` that was given, so give one.
 */
export function resuming<Client extends SubscribingClient>(client: Client): Client {
  const subscribe: SubscribingClient['subscribe'] = (request, sink, ...more) => {
    if (/^\s*subscription\b/m.test(request.query) && !/\$after\b[^]*\bcursor\b/.test(request.query)) {
      sink.error(new Error('A subscription that resumes has a variable $after and selects `cursor`.'));
      return () => {};
    }
    const variables: Record<string, unknown> = { ...request.variables };
    const next = (result: Result) => {
      const [event] = Object.values(result.data ?? {});
      if (typeof event?.cursor === 'string') variables.after = event.cursor;
      sink.next(result);
    };
    const ends = { error: (error: unknown) => sink.error(error), complete: () => sink.complete() };
    return client.subscribe({ ...request, variables }, { next, ...ends }, ...more);
  };
  /** What came waits until it is taken, but its place is kept when it comes, or it would come again after a drop. */
  const iterate = (request: Request, ...more: unknown[]) => {
    const steps: { result?: Result; error?: unknown }[] = [];
    let wake = () => {};
    const put = (step: { result?: Result; error?: unknown }) => {
      steps.push(step);
      wake();
    };
    const ends = { error: (error: unknown) => put({ error }), complete: () => put({}) };
    const leave = subscribe(request, { next: (result) => put({ result }), ...ends }, ...more);
    async function* take() {
      for (;;) {
        const step = steps.shift();
        if (step?.result) yield step.result;
        else if (step && 'error' in step) throw step.error;
        else if (step) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    }
    // The generator's own would wait until something comes.
    const stop = () => {
      leave();
      ends.complete();
      return Promise.resolve({ done: true, value: undefined });
    };
    return Object.assign(take(), { return: stop });
  };
  return { ...client, subscribe, iterate };
}

/** For `retryWait` or `retry`: half a second to one before the first attempt, then longer, at most 10 to 20 seconds. */
export function pause(retries: number): Promise<void> {
  const ms = Math.min(500 * 2 ** retries, 10_000);
  return new Promise((resolve) => setTimeout(resolve, ms * (1 + Math.random())));
}
