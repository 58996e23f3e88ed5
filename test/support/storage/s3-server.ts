import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';

/** Answers a request in the service's place, and returns true; or leaves it alone and returns false. */
type Fault = (request: IncomingMessage, response: ServerResponse) => boolean;

export const S3_BUCKET = 'pictures';
/** The one pair of keys that s3rver knows. */
export const S3_KEYS = { accessKey: 'S3RVER', secretKey: 'S3RVER' };

/** A real S3 server on a port of this machine, behind a door that writes down what comes in and can fail on demand. */
export class S3Server {
  /** What came in since the last `forget`. */
  readonly requests: { method: string; url: URL; headers: IncomingMessage['headers'] }[] = [];
  fault: Fault = () => false;

  private constructor(
    readonly endpoint: string,
    private readonly door: Server,
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
    // It makes the tokens of its pages with DES.
    const child = spawn(process.execPath, ['--openssl-legacy-provider', program, ...options], {
      env: { PATH: process.env.PATH },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const port = await portOf(child);
    const door = createServer((incoming, response) => {
      const url = new URL(incoming.url ?? '/', server.endpoint);
      server.requests.push({ method: incoming.method ?? '', url, headers: incoming.headers });
      if (server.fault(incoming, response)) incoming.resume();
      else passOn(incoming, response, port);
    }).listen(0, '127.0.0.1');
    await once(door, 'listening');
    const endpoint = `http://127.0.0.1:${(door.address() as AddressInfo).port}`;
    const server = new S3Server(endpoint, door, child, folder);
    return server;
  }

  /** Forgets the requests and the fault. */
  forget(): void {
    this.requests.length = 0;
    this.fault = () => false;
  }

  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
    this.door.closeAllConnections();
    this.door.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}

async function portOf(child: ChildProcess): Promise<number> {
  if (!child.stdout) throw new Error('The S3 server has no output.');
  for await (const line of createInterface(child.stdout)) {
    const port = /listening on .*:(\d+)$/.exec(line)?.[1];
    if (!port) continue;
    child.stdout.resume();
    return Number(port);
  }
  throw new Error('The S3 server ended before it listened.');
}

function passOn(incoming: IncomingMessage, response: ServerResponse, port: number): void {
  const { method, url: path, headers } = incoming;
  const outgoing = request({ host: '127.0.0.1', port, method, path, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    answer.pipe(response);
    response.on('close', () => answer.destroy());
  });
  outgoing.on('error', () => response.destroy());
  incoming.pipe(outgoing);
}
