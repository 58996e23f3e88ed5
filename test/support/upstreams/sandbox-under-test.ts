import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import express from 'express';
import { pino } from 'pino';
import { Sandbox, type SandboxOptions } from '../../../src/sandbox/sandbox.js';
import { type LedgerPage } from '../../../src/sandbox/state/charge-list.js';

export interface Picture {
  prompt: string;
  image_url: string;
  seed?: number | string;
  timings: number | { inference: number };
}
/** Every field that a reply, a callback or a task can have. */
export interface Body {
  success?: boolean;
  task_id?: string;
  trace_id?: string;
  data?: Picture[];
  error?: { code: string; message: string };
  id?: string;
  type?: string;
  created_at?: number;
  started_at?: number;
  finished_at?: number;
  elapsed?: number;
  request?: Record<string, unknown>;
  response?: Body;
  items?: Body[];
  count?: number;
}
export interface Reply {
  status: number;
  headers: Headers;
  text: string;
  body: Body;
}
interface CallOptions {
  token?: string | null;
  raw?: string;
}

/** A sandbox on a port of its own. Its pictures take no time unless the options or a prompt say otherwise. */
export class SandboxUnderTest {
  private constructor(
    private readonly sandbox: Sandbox,
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(options: Partial<SandboxOptions> = {}): Promise<SandboxUnderTest> {
    let url = '';
    const log = pino({ level: 'silent' });
    const sandbox = new Sandbox({ publicUrl: () => url, log, delayMs: 0, ...options });
    const server = createServer(express().use('/sandbox', sandbox.router));
    url = `${await listen(server)}/sandbox`;
    return new SandboxUnderTest(sandbox, server, url);
  }

  async stop(): Promise<void> {
    await this.sandbox.close();
    await closeServer(this.server);
  }

  async closeSandbox(): Promise<void> {
    await this.sandbox.close();
  }

  images(body: object, options?: CallOptions): Promise<Reply> {
    return this.post('/flux/images', body, options);
  }

  /** A plain submission; the fields given are added to it. */
  generate(prompt: string, fields: object = {}): Promise<Reply> {
    return this.images({ action: 'generate', prompt, size: '256x256', ...fields });
  }

  async task(id: string | undefined): Promise<Body> {
    return (await this.post('/flux/tasks', { action: 'retrieve', id })).body;
  }

  async ledger(prompt?: string): Promise<LedgerPage> {
    const query = prompt === undefined ? '' : `?prompt=${encodeURIComponent(prompt)}`;
    return (await (await fetch(`${this.url}/ledger${query}`)).json()) as LedgerPage;
  }

  async post(path: string, body: object, { token = 'test', raw }: CallOptions = {}): Promise<Reply> {
    const response = await fetch(this.url + path, {
      method: 'POST',
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      body: raw ?? JSON.stringify(body),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json');
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson ? (JSON.parse(text) as Body) : {},
    };
  }
}

/** Receives callbacks, and remembers what came. */
export class CallbackReceiver {
  readonly received: Body[] = [];
  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  /** @param onArrival is awaited before a callback is answered */
  static async start(onArrival: () => Promise<void> = async () => {}): Promise<CallbackReceiver> {
    const server = createServer((request, response) => {
      void readBody(request).then(async (body) => {
        receiver.received.push(JSON.parse(body.toString()) as Body);
        await onArrival();
        response.end();
      });
    });
    const receiver = new CallbackReceiver(server, `${await listen(server)}/callback?secret=1`);
    return receiver;
  }

  async stop(): Promise<void> {
    await closeServer(this.server);
  }
}

/** Serves one body at every path. */
export async function serve(
  status: number,
  body: Buffer | string,
  headers: Record<string, string> = {},
): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer((_request, response) => response.writeHead(status, headers).end(body));
  return { url: `${await listen(server)}/source`, stop: () => closeServer(server) };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks);
}
