import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { type AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { type S3ClientOptions } from '../../src/storage/s3-client.js';

/** What an instance asks the store for. */
export const STORE_OPERATIONS = ['put', 'get', 'head', 'list', 'delete'] as const;
export type StoreOperation = (typeof STORE_OPERATIONS)[number];
export type StoreName = 'disk' | 's3';

/** Where the instances of a run keep images. */
export interface ChaosStore {
  name: StoreName;
  /** Environment variables that make an instance use this store. */
  environment: Record<string, string>;
  /** The size of the stored file of an image in bytes. Null if there is none. Read without the service. */
  size(sha256: string): Promise<number | null>;
  /** Makes operations wait until they are resumed. A folder cannot do that. */
  hang(operation: StoreOperation): void;
  /** Serves the operations that waited, and all later ones. */
  resume(operation: StoreOperation): void;
  stop(): Promise<void>;
}

const BUCKET = 'images';
/** The only credentials that s3rver accepts. */
const CREDENTIAL = 'S3RVER';

/** A folder that all instances share. */
export class FolderStore implements ChaosStore {
  readonly name = 'disk';
  readonly environment = {};

  /** `dataDir` is the DATA_DIR of the instances. */
  constructor(private readonly dataDir: string) {}

  size(sha256: string): Promise<number | null> {
    return sizeOfFile(join(this.dataDir, 'images', sha256.slice(0, 2), sha256));
  }

  hang(): void {
    throw new Error('A folder cannot hang.');
  }

  resume(): void {
    throw new Error('A folder cannot hang.');
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}

/** An S3 server as a process of its own, behind a proxy that can hang for each operation. */
export class BucketStore implements ChaosStore {
  readonly name = 's3';
  readonly bucket = BUCKET;
  private readonly waiting = new Map<StoreOperation, (() => void)[]>();

  private constructor(
    private readonly folder: string,
    private readonly child: ChildProcess,
    private readonly port: number,
    private readonly proxy: Server,
  ) {}

  static async start(folder: string): Promise<BucketStore> {
    await mkdir(folder);
    const program = join(
      dirname(createRequire(import.meta.url).resolve('s3rver/package.json')),
      'bin/s3rver.js',
    );
    const options = ['-d', folder, '-a', '127.0.0.1', '-p', '0', '--silent', '--configure-bucket', BUCKET];
    // s3rver creates its page tokens with DES, which OpenSSL 3 only offers as a legacy algorithm.
    const child = spawn(process.execPath, ['--openssl-legacy-provider', program, ...options], {
      env: { PATH: process.env['PATH'] },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const port = await readPort(child);
    const proxy = createServer((incoming, response) => store.handle(incoming, response));
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const store = new BucketStore(folder, child, port, proxy);
    return store;
  }

  private get endpoint(): string {
    return `http://127.0.0.1:${(this.proxy.address() as AddressInfo).port}`;
  }

  get environment(): Record<string, string> {
    return {
      IMAGE_STORE: 's3',
      S3_ENDPOINT: this.endpoint,
      S3_BUCKET: BUCKET,
      S3_ACCESS_KEY: CREDENTIAL,
      S3_SECRET_KEY: CREDENTIAL,
    };
  }

  /** For a client of its own. */
  get clientOptions(): S3ClientOptions {
    return {
      endpoint: this.endpoint,
      region: 'us-east-1',
      accessKeyId: CREDENTIAL,
      secretAccessKey: CREDENTIAL,
    };
  }

  size(sha256: string): Promise<number | null> {
    return sizeOfFile(join(this.folder, BUCKET, `${sha256}._S3rver_object`));
  }

  hang(operation: StoreOperation): void {
    this.waiting.set(operation, []);
  }

  resume(operation: StoreOperation): void {
    const waiting = this.waiting.get(operation) ?? [];
    this.waiting.delete(operation);
    for (const serve of waiting) serve();
  }

  async stop(): Promise<void> {
    this.proxy.close();
    this.proxy.closeAllConnections();
    const exited = once(this.child, 'exit');
    if (this.child.kill('SIGKILL')) await exited;
  }

  private handle(incoming: IncomingMessage, response: ServerResponse): void {
    const serve = () => void (response.destroyed || this.forward(incoming, response));
    const waiting = this.waiting.get(operationOf(incoming));
    if (waiting) waiting.push(serve);
    else serve();
  }

  private forward(incoming: IncomingMessage, response: ServerResponse): void {
    const { method, url: path, headers } = incoming;
    const outgoing = request({ host: '127.0.0.1', port: this.port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    outgoing.on('error', () => response.destroy());
    response.on('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  }
}

function operationOf({ method, url = '' }: IncomingMessage): StoreOperation {
  if (method === 'PUT') return 'put';
  if (method === 'HEAD') return 'head';
  if (method === 'POST' || method === 'DELETE') return 'delete'; // POST with ?delete removes many
  return url.includes('list-type=') ? 'list' : 'get';
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

async function sizeOfFile(path: string): Promise<number | null> {
  return stat(path).then(
    ({ size }) => size,
    () => null,
  );
}
