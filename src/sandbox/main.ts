import { type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import express from 'express';
import { pino } from 'pino';
import { Sandbox } from './sandbox.js';

/** The sandbox as a separate server, mounted at `/` and at `/sandbox`. Configured by PORT, HOST and SANDBOX_TOKEN. */
const { PORT = '4100', HOST = '127.0.0.1', SANDBOX_TOKEN } = process.env;

const log = pino({ level: 'warn' });
let baseUrl = '';
const sandbox = new Sandbox({ token: SANDBOX_TOKEN || undefined, publicUrl: () => baseUrl, log });
const app = express().disable('x-powered-by').use('/sandbox', sandbox.router).use('/', sandbox.router);
const server: Server = app.listen(Number(PORT), HOST, (error?: Error) => {
  if (error) {
    console.error(
      `The sandbox cannot listen on ${HOST}:${PORT}: ${error.message}. Set HOST or PORT to a free address.`,
    );
    process.exitCode = 1;
    return;
  }
  const { port } = server.address() as AddressInfo;
  baseUrl = `http://${HOST.includes(':') ? `[${HOST}]` : HOST}:${port}`;
  console.log(`The sandbox listens on ${baseUrl}. Try it:\n`);
  console.log(
    `curl -s ${baseUrl}/flux/images -H 'authorization: Bearer ${SANDBOX_TOKEN || 'anything'}' ` +
      `-H 'content-type: application/json' -d '{"action":"generate","prompt":"a white siamese cat"}'`,
  );
});

// As src/app/shutdown-request.ts does for the service. Ctrl-C reaches a program below npm more than once.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGBREAK'] as const) process.on(signal, stop);

function stop(): void {
  if (!server.listening) return;
  server.close();
  void sandbox.close().then(() => server.closeAllConnections());
}
