/**
 * The subscriber process of fanout.ts and notify-tax.ts. With the argument `[url]` it opens bare sockets. With
 * `[url, api key, document, cursor]` each socket subscribes after the cursor.
 */
import { helperArgs, serveCommands } from './support/helper.js';
import { openSubscriber, type Subscription } from './support/subscriber-socket.js';

export type SubscribersCommand =
  /** Opens more sockets. `received` is the number of messages they count as already received. */
  | { openSubscribers: number; received: number }
  /** Answered when every subscriber has received this many messages. */
  | { waitForMessages: number };

/** Fewer than Node's limit of 511 connections that a server has not accepted yet. */
const MAX_CONCURRENT_OPENS = 100;

const [url = '', apiKey, query = '', after] = helperArgs();
const subscription: Subscription | null = apiKey ? { apiKey, query, variables: { after } } : null;
const received: number[] = [];
let lastMessage = '';
let goalMessages = Infinity;
let pendingSubscribers = 0;
let onGoalReached: (() => void) | null = null;

/** Returns the last message of the first subscriber. */
serveCommands(async (command: SubscribersCommand) => {
  if ('openSubscribers' in command) await open(command.openSubscribers, command.received);
  else await until(command.waitForMessages);
  return lastMessage;
});

async function open(count: number, before: number): Promise<void> {
  let remaining = count;
  const lane = async () => {
    while (remaining-- > 0) {
      const subscriber = received.push(before) - 1;
      await openSubscriber(url, subscription, (text) => receive(subscriber, text));
    }
  };
  await Promise.all(Array.from({ length: MAX_CONCURRENT_OPENS }, lane));
}

function receive(subscriber: number, text: Buffer): void {
  const count = (received[subscriber] ?? 0) + 1;
  received[subscriber] = count;
  if (subscriber === 0) lastMessage = text.toString();
  if (count === goalMessages && --pendingSubscribers === 0) onGoalReached?.();
}

async function until(messages: number): Promise<void> {
  pendingSubscribers = received.filter((count) => count < messages).length;
  if (received.some((count) => count > messages))
    throw new Error('A subscriber received more messages than were sent.');
  goalMessages = messages;
  if (pendingSubscribers > 0) await new Promise<void>((resolve) => (onGoalReached = resolve));
}
