/** The floor of fanout.ts, in a process of its own: sends one text to every socket that connects, and knows nothing else. */
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { serveOrders } from './support/helper.js';

/** Absent: only the address is asked for. */
export interface FloorOrder {
  text?: string;
}

const server = createServer();
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
server.on('upgrade', (request, socket, head) =>
  sockets.handleUpgrade(request, socket, head, () => undefined),
);
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

serveOrders(({ text }: FloorOrder) => {
  if (text !== undefined) for (const socket of sockets.clients) socket.send(text);
  return Promise.resolve(url);
});
