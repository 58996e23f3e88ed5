/** The fields of one block of an event stream. */
export interface ServerSentEvent {
  id?: string;
  event?: string;
  data?: string;
}

/** An open response, parsed according to the server-sent events standard. */
export interface OpenEventStream {
  /** Waits for `count` events. Skips comments and blocks without data. Throws if the stream ends first. */
  readEvents(count: number): Promise<ServerSentEvent[]>;
  /** Reads every event until the server ends the stream. */
  readToEnd(): Promise<ServerSentEvent[]>;
  close(): void;
}

/** Opens an event stream. Throws if the status is not 200. */
export async function openEventStream(url: string, init: RequestInit): Promise<OpenEventStream> {
  const controller = new AbortController();
  const response = await fetch(url, { ...init, signal: controller.signal });
  if (response.status !== 200) throw new Error(`Answered ${response.status}.`);
  const messages = readEvents(response);
  return {
    readEvents: async (count) => {
      const events: ServerSentEvent[] = [];
      while (events.length < count) {
        const { value, done } = await messages.next();
        if (done) throw new Error(`The stream ended after ${events.length} of ${count} messages.`);
        events.push(value);
      }
      return events;
    },
    readToEnd: async () => {
      const events: ServerSentEvent[] = [];
      for await (const message of messages) events.push(message);
      return events;
    },
    close: () => controller.abort(),
  };
}

/** Keeps a reference to the response: fetch cancels an unread body when its response is garbage-collected. */
async function* readEvents(response: Response): AsyncGenerator<ServerSentEvent, void, undefined> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const message = parseEvent(block);
      if (message.data !== undefined) yield message;
    }
  }
}

/** The events of a whole stream. */
export function parseEvents(text: string): ServerSentEvent[] {
  return text
    .split('\n\n')
    .map(parseEvent)
    .filter(({ data }) => data !== undefined);
}

function parseEvent(block: string): ServerSentEvent {
  const message: Record<string, string> = {};
  for (const line of block.split('\n')) {
    const [, field = '', value = ''] = /^(\w*): ?(.*)$/.exec(line) ?? [];
    if (field) message[field] = value;
  }
  return message;
}
