/** The floor of waiting.ts, in a process of its own: reads each request to its end, and does not answer it. */
import { createServer, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import { serveOrders } from './support/helper.js';

export interface FloorAnswer {
  url: string;
  /** Requests that are held. */
  held: number;
}

const held: ServerResponse[] = [];
const server = createServer((request, response) => {
  request.resume().on('end', () => held.push(response));
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

serveOrders((): Promise<FloorAnswer> => Promise.resolve({ url, held: held.length }));
