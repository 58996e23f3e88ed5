/** The floor of fanout.ts: a bare `ws` server that sends a text to every connected socket. */
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import { serveCommands } from './support/helper.js';

/** Sends the text to all sockets. Without a text, the command only returns the URL. */
export interface FloorCommand {
  text?: string;
}

const server = createServer();
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
server.on('upgrade', (request, socket, head) =>
  sockets.handleUpgrade(request, socket, head, () => undefined),
);
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

serveCommands(({ text }: FloorCommand) => {
  if (text !== undefined) for (const socket of sockets.clients) socket.send(text);
  return Promise.resolve(url);
});
