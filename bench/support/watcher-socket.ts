import { WebSocket } from 'ws';

/** What a watcher asks for. */
export interface Subscription {
  apiKey: string;
  query: string;
  variables: object;
}

/** A watcher of one thing has one operation; every socket has names of its own for them. */
const OPERATION = '1';

/**
 * Opens a socket and subscribes; without a subscription it only listens, in the same way. Resolves when that was sent; then
 * `onMessage` is called for each message. A socket that closes ends the process: what it would measure is another thing.
 */
export async function openWatcher(
  url: string,
  subscription: Subscription | null,
  onMessage: (text: Buffer) => void,
): Promise<void> {
  const socket = new WebSocket(url.replace('http', 'ws'), 'graphql-transport-ws', {
    perMessageDeflate: false,
  });
  socket.on('close', (code, reason) => {
    throw new Error(`A watcher was closed with ${code} ${reason.toString()}.`);
  });
  await new Promise<void>((resolve, reject) => {
    let ready = false;
    socket.on('error', reject);
    socket.on('open', () => {
      if (subscription) {
        socket.send(
          JSON.stringify({
            type: 'connection_init',
            payload: { authorization: `Bearer ${subscription.apiKey}` },
          }),
        );
        return;
      }
      ready = true;
      resolve();
    });
    socket.on('message', (text: Buffer) => {
      if (ready) return onMessage(text);
      ready = true;
      const { query, variables } = subscription ?? {};
      socket.send(JSON.stringify({ id: OPERATION, type: 'subscribe', payload: { query, variables } }));
      resolve();
    });
  });
}
