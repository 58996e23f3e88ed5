/**
 * The subscriber process of storm.ts. Arguments: `[url, api key, document]`. All subscribers connect at once, each with its own
 * cursor, and compare what they receive with the expected log.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { helperArgs, serveCommands } from './support/helper.js';
import { openSubscriber } from './support/subscriber-socket.js';

export interface StormCommand {
  /** The cursors of all events that are visible to the subscribers, in order. */
  cursors: string[];
  /** For each subscriber the cursor it resumes after, and the index of the next event in `cursors`. */
  subscribers: { after: string; next: number }[];
}

export interface StormResult {
  seconds: number;
  messages: number;
}

/** Time to wait for messages that must not arrive. */
const EXTRA_MESSAGES_WAIT_MS = 500;
const CURSOR = Buffer.from('"cursor":"');

const [url = '', apiKey = '', query = ''] = helperArgs();

/** Resolves when the last subscriber has received all of its events. */
serveCommands(async ({ cursors: log, subscribers }: StormCommand): Promise<StormResult> => {
  const startedAt = performance.now();
  let messages = 0;
  await Promise.all(
    subscribers.map(
      ({ after, next }) =>
        new Promise<void>((resolve, reject) => {
          let expected = next;
          const receive = (text: Buffer) => {
            messages += 1;
            if (cursorIn(text) !== log[expected])
              return reject(new Error(`Expected event ${expected} but received another one.`));
            expected += 1;
            if (expected === log.length) resolve();
          };
          openSubscriber(url, { apiKey, query, variables: { after } }, receive).catch(reject);
          if (expected === log.length) resolve();
        }),
    ),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const received = messages;
  await pause(EXTRA_MESSAGES_WAIT_MS);
  if (messages > received) throw new Error(`${messages - received} unexpected messages arrived.`);
  return { seconds, messages };
});

/** Finds the cursor without parsing the message, because this process shares the CPU with the service. */
function cursorIn(text: Buffer): string {
  const start = text.indexOf(CURSOR) + CURSOR.length;
  return text.toString('latin1', start, text.indexOf(0x22, start));
}
