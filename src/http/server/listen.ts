import { type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { ConfigInvalid } from '../../core/errors.js';

/** Connections that the kernel keeps until we take them: Node's 511 are too few when thousands come back at once. */
const BACKLOG = 4_096;
/** Requests that have not ended by then are cut, so that the whole of a stop fits into 15 s. */
const CLOSE_GRACE_MS = 3_000;

/** Listens from the start, so that the port is known and a second instance fails at once; requests are told to wait. */
export async function listen(server: Server, where: { host: string; port: number }): Promise<void> {
  server.on('request', (_request, response) => {
    response.writeHead(503, { 'retry-after': '1' }).end('Starting.\n');
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') return reject(error);
      reject(
        new ConfigInvalid(
          `Port ${where.port} is in use. Set PORT to another one, or end what listens there.`,
        ),
      );
    });
    server.listen({ port: where.port, host: where.host, backlog: BACKLOG }, resolve);
  });
}

export async function close(server: Server): Promise<void> {
  if (!server.listening) return;
  const closed = new Promise((resolve) => server.close(resolve));
  const cut = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  server.closeIdleConnections();
  await closed;
  clearTimeout(cut);
}

export function localUrl(server: Server, where: { host: string; port: number }): string {
  const { port } = server.address() as AddressInfo;
  const host = ['0.0.0.0', '::'].includes(where.host) ? '127.0.0.1' : where.host;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
