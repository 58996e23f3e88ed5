/**
 * The watchers of fanout.ts, in a process of their own: `[url]` for bare sockets, `[url, api key, document, cursor]` for
 * those that subscribe after that cursor.
 */
import { helperArgs, serveOrders } from './support/helper.js';
import { openWatcher, type Subscription } from './support/watcher-socket.js';

export type WatchersOrder =
  /** With how many messages those who open a socket now count as having received. */
  | { open: number; received: number }
  /** Answered when every watcher has received so many messages since it came. */
  | { until: number };

/** Fewer than the queue of connections that a server has not accepted yet: 511 in Node. */
const OPENED_AT_ONCE = 100;

const [url = '', apiKey, query = '', after] = helperArgs();
const subscription: Subscription | null = apiKey ? { apiKey, query, variables: { after } } : null;
const received: number[] = [];
let last = '';
let goal = Infinity;
let behind = 0;
let reached: (() => void) | null = null;

/** Answers what the first watcher received last. */
serveOrders(async (order: WatchersOrder) => {
  if ('open' in order) await open(order.open, order.received);
  else await until(order.until);
  return last;
});

async function open(count: number, before: number): Promise<void> {
  let left = count;
  const lane = async () => {
    while (left-- > 0) {
      const watcher = received.push(before) - 1;
      await openWatcher(url, subscription, (text) => receive(watcher, text));
    }
  };
  await Promise.all(Array.from({ length: OPENED_AT_ONCE }, lane));
}

function receive(watcher: number, text: Buffer): void {
  const count = (received[watcher] ?? 0) + 1;
  received[watcher] = count;
  if (watcher === 0) last = text.toString();
  if (count === goal && --behind === 0) reached?.();
}

async function until(messages: number): Promise<void> {
  behind = received.filter((count) => count < messages).length;
  if (received.some((count) => count > messages)) throw new Error('A watcher received more than was sent.');
  goal = messages;
  if (behind > 0) await new Promise<void>((resolve) => (reached = resolve));
}
