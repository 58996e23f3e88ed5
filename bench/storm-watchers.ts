/**
 * Watchers of storm.ts, in a process of their own: `[url, api key, document]`. All of them connect at once, each after a
 * cursor of its own, and check what they receive against the log that they were told.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { helperArgs, serveOrders } from './support/helper.js';
import { openWatcher } from './support/watcher-socket.js';

export interface StormOrder {
  /** The cursors of all events that the watchers may see, in order. */
  log: string[];
  /** Where each of them goes on: after the cursor, with this entry of the log. */
  watchers: { after: string; next: number }[];
}

export interface StormAnswer {
  seconds: number;
  messages: number;
}

/** For what should not come any more. */
const SURPLUS_MS = 500;
const CURSOR = Buffer.from('"cursor":"');

const [url = '', apiKey = '', query = ''] = helperArgs();

/** Answers when the last watcher has all of its events. */
serveOrders(async ({ log, watchers }: StormOrder): Promise<StormAnswer> => {
  const startedAt = performance.now();
  let messages = 0;
  await Promise.all(
    watchers.map(
      ({ after, next }) =>
        new Promise<void>((resolve, reject) => {
          let expected = next;
          const receive = (text: Buffer) => {
            messages += 1;
            if (cursorIn(text) !== log[expected]) return reject(new Error(`Event ${expected} was not next.`));
            expected += 1;
            if (expected === log.length) resolve();
          };
          openWatcher(url, { apiKey, query, variables: { after } }, receive).catch(reject);
          if (expected === log.length) resolve();
        }),
    ),
  );
  const seconds = (performance.now() - startedAt) / 1000;
  const received = messages;
  await pause(SURPLUS_MS);
  if (messages > received) throw new Error(`${messages - received} messages came that nobody expected.`);
  return { seconds, messages };
});

/** Without parsing: the watchers share the processors with what is measured. */
function cursorIn(text: Buffer): string {
  const start = text.indexOf(CURSOR) + CURSOR.length;
  return text.toString('latin1', start, text.indexOf(0x22, start));
}
