import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

/** Answers a request instead of the S3 server and returns true, or leaves it alone and returns false. */
type FaultHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

export const S3_BUCKET = 'images';
/** The only credentials that s3rver accepts. */
export const S3_CREDENTIALS = { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' };

/** A real S3 server on a local port, behind a proxy that records requests and can fail on demand. */
export class S3Server {
  /** Requests since the last `reset`. */
  readonly requests: { method: string; url: URL; headers: IncomingMessage['headers'] }[] = [];
  fault: FaultHandler = () => false;

  private constructor(
    readonly endpoint: string,
    private readonly proxy: Server,
    private readonly child: ChildProcess,
    private readonly folder: string,
  ) {}

  static async start(): Promise<S3Server> {
    const folder = await mkdtemp(join(tmpdir(), 'darkroom-s3-'));
    const program = join(
      dirname(createRequire(import.meta.url).resolve('s3rver/package.json')),
      'bin/s3rver.js',
    );
    const options = ['-d', folder, '-a', '127.0.0.1', '-p', '0', '--silent', '--configure-bucket', S3_BUCKET];
    // s3rver creates its page tokens with DES, which OpenSSL 3 only offers as a legacy algorithm.
    const child = spawn(process.execPath, ['--openssl-legacy-provider', program, ...options], {
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const port = await readPort(child);
    const proxy = createServer((incoming, response) => {
      const url = new URL(incoming.url ?? '/', server.endpoint);
      server.requests.push({ method: incoming.method ?? '', url, headers: incoming.headers });
      if (server.fault(incoming, response)) incoming.resume();
      else forward(incoming, response, port);
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const endpoint = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    const server = new S3Server(endpoint, proxy, child, folder);
    return server;
  }

  /** Clears the recorded requests and the fault. */
  reset(): void {
    this.requests.length = 0;
    this.fault = () => false;
  }

  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
    this.proxy.closeAllConnections();
    this.proxy.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function readPort(child: ChildProcess): Promise<number> {
  if (!child.stdout) throw new Error('The S3 server has no output.');
  for await (const line of createInterface(child.stdout)) {
    const port = /listening on .*:(\d+)$/.exec(line)?.[1];
    if (!port) continue;
    child.stdout.resume();
    return Number(port);
  }
  throw new Error('The S3 server exited before it listened.');
}

function forward(incoming: IncomingMessage, response: ServerResponse, port: number): void {
  const { method, url: path, headers } = incoming;
  const outgoing = request({ host: '127.0.0.1', port, method, path, headers }, (upstreamResponse) => {
    response.writeHead(upstreamResponse.statusCode ?? 500, upstreamResponse.headers);
    upstreamResponse.pipe(response);
    response.on('close', () => upstreamResponse.destroy());
  });
  outgoing.on('error', () => response.destroy());
  incoming.pipe(outgoing);
}
