/**
 * An async generator that can be ended while it waits. A plain generator cannot: its `return` waits for the `await` that
 * it is stuck in. Here `return` first aborts the signal that the body waits on.
 */
export function abortable<Item>(
  body: (signal: AbortSignal) => AsyncGenerator<Item, void, undefined>,
): AsyncIterableIterator<Item> {
  const controller = new AbortController();
  const generator = body(controller.signal);
  return {
    next: () => generator.next(),
    return: () => {
      controller.abort();
      return generator.return();
    },
    throw: (error: unknown) => {
      controller.abort();
      return generator.throw(error);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
