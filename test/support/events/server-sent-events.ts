/** One block of an event stream, by its fields. */
export interface StreamMessage {
  id?: string;
  event?: string;
  data?: string;
}

/** A response that stays open, read as the standard for server-sent events says. */
export interface OpenStream {
  /** Waits for so many messages; comments and blocks without data are left out. */
  take(count: number): Promise<StreamMessage[]>;
  /** Every message until the server ends it. */
  all(): Promise<StreamMessage[]>;
  close(): void;
}

/** Throws when it is not answered with a stream. */
export async function openStream(url: string, init: RequestInit): Promise<OpenStream> {
  const controller = new AbortController();
  const response = await fetch(url, { ...init, signal: controller.signal });
  if (response.status !== 200) throw new Error(`Answered ${response.status}.`);
  const messages = read(response);
  return {
    take: async (count) => {
      const taken: StreamMessage[] = [];
      while (taken.length < count) {
        const { value, done } = await messages.next();
        if (done) throw new Error(`The stream ended after ${taken.length} of ${count} messages.`);
        taken.push(value);
      }
      return taken;
    },
    all: async () => {
      const taken: StreamMessage[] = [];
      for await (const message of messages) taken.push(message);
      return taken;
    },
    close: () => controller.abort(),
  };
}

/** Of the response, not of its body: fetch ends a body that nobody reads yet when its response is garbage. */
async function* read(response: Response): AsyncGenerator<StreamMessage, void, undefined> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const message = parse(block);
      if (message.data !== undefined) yield message;
    }
  }
}

function parse(block: string): StreamMessage {
  const message: Record<string, string> = {};
  for (const line of block.split('\n')) {
    const [, field = '', value = ''] = /^(\w*): ?(.*)$/.exec(line) ?? [];
    if (field) message[field] = value;
  }
  return message;
}
