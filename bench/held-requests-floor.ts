/** The floor of held-requests.ts: a server that reads each request and never responds. */
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { serveCommands } from './support/helper.js';

export interface FloorStatus {
  url: string;
  /** Number of open requests. */
  heldCount: number;
}

const openResponses: ServerResponse[] = [];
const server = createServer((request, response) => {
  request.resume().on('end', () => openResponses.push(response));
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

serveCommands((): Promise<FloorStatus> => Promise.resolve({ url, heldCount: openResponses.length }));
