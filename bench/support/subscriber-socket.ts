import { WebSocket } from 'ws';

/** A GraphQL subscription. */
export interface Subscription {
  apiKey: string;
  query: string;
  variables: object;
}

/** Operation IDs are local to a socket, and each socket has only one operation. */
const OPERATION_ID = '1';

/**
 * Opens a socket and sends the subscription. With null it only listens, in the same way. Resolves when the subscription was sent.
 * Then calls `onMessage` for each message. Throws outside the promise, which ends the process, when the socket closes.
 */
export async function openSubscriber(
  url: string,
  subscription: Subscription | null,
  onMessage: (text: Buffer) => void,
): Promise<void> {
  const socket = new WebSocket(url.replace('http', 'ws'), 'graphql-transport-ws', {
    perMessageDeflate: false,
  });
  socket.on('close', (code, reason) => {
    throw new Error(`A subscriber's socket was closed with ${code} ${reason.toString()}.`);
  });
  await new Promise<void>((resolve, reject) => {
    let isReady = false;
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
      isReady = true;
      resolve();
    });
    socket.on('message', (text: Buffer) => {
      if (isReady) return onMessage(text);
      isReady = true;
      const { query, variables } = subscription ?? {};
      socket.send(JSON.stringify({ id: OPERATION_ID, type: 'subscribe', payload: { query, variables } }));
      resolve();
    });
  });
}
