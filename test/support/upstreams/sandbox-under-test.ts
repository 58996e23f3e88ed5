import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import express from 'express';
import { pino } from 'pino';
import { Sandbox, type SandboxOptions } from '../../../src/sandbox/sandbox.js';
import { type ChargePage } from '../../../src/sandbox/state/charge-list.js';

export interface SandboxReplyImage {
  prompt: string;
  image_url: string;
  seed?: number | string;
  timings: number | { inference: number };
}
/** All fields that a reply, a callback or a task can have. */
export interface SandboxBody {
  success?: boolean;
  task_id?: string;
  trace_id?: string;
  data?: SandboxReplyImage[];
  error?: { code: string; message: string };
  id?: string;
  type?: string;
  created_at?: number;
  started_at?: number;
  finished_at?: number;
  elapsed?: number;
  request?: Record<string, unknown>;
  response?: SandboxBody;
  items?: SandboxBody[];
  count?: number;
}
export interface SandboxReply {
  status: number;
  headers: Headers;
  text: string;
  body: SandboxBody;
}
interface CallOptions {
  token?: string | null;
  rawBody?: string;
}

/** A sandbox on its own port. Generations take no time unless the options or a prompt say otherwise. */
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
    url = `${await startListening(server)}/sandbox`;
    return new SandboxUnderTest(sandbox, server, url);
  }

  async stop(): Promise<void> {
    await this.sandbox.close();
    await closeServer(this.server);
  }

  async closeSandbox(): Promise<void> {
    await this.sandbox.close();
  }

  submit(body: object, options?: CallOptions): Promise<SandboxReply> {
    return this.post('/flux/images', body, options);
  }

  /** Submits a simple request with additional fields. */
  generate(prompt: string, fields: object = {}): Promise<SandboxReply> {
    return this.submit({ action: 'generate', prompt, size: '256x256', ...fields });
  }

  async task(id: string | undefined): Promise<SandboxBody> {
    return (await this.post('/flux/tasks', { action: 'retrieve', id })).body;
  }

  /** Returns the status. Without a token the request has none. */
  async setOutage(body: object, token: string | null = 'test'): Promise<number> {
    const headers = {
      'content-type': 'application/json',
      ...(token && { authorization: `Bearer ${token}` }),
    };
    const init = { method: 'PUT', headers, body: JSON.stringify(body) };
    return (await fetch(`${this.url}/outage`, init)).status;
  }

  async charges(prompt?: string): Promise<ChargePage> {
    const query = prompt === undefined ? '' : `?prompt=${encodeURIComponent(prompt)}`;
    return (await (await fetch(`${this.url}/ledger${query}`)).json()) as ChargePage;
  }

  async post(
    path: string,
    body: object,
    { token = 'test', rawBody }: CallOptions = {},
  ): Promise<SandboxReply> {
    const response = await fetch(this.url + path, {
      method: 'POST',
      headers: token === null ? {} : { authorization: `Bearer ${token}` },
      body: rawBody ?? JSON.stringify(body),
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json');
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson ? (JSON.parse(text) as SandboxBody) : {},
    };
  }
}

/** A server that records the callbacks it receives. */
export class CallbackServer {
  readonly callbacks: SandboxBody[] = [];
  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  /** @param onArrival is awaited before each callback is answered */
  static async start(onArrival: () => Promise<void> = async () => {}): Promise<CallbackServer> {
    const server = createServer((request, response) => {
      void readBody(request).then(async (body) => {
        callbackServer.callbacks.push(JSON.parse(body.toString()) as SandboxBody);
        await onArrival();
        response.end();
      });
    });
    const callbackServer = new CallbackServer(server, `${await startListening(server)}/callback?secret=1`);
    return callbackServer;
  }

  async stop(): Promise<void> {
    await closeServer(this.server);
  }
}

/** Serves the same body at every path. */
export async function serveBody(
  status: number,
  body: Buffer | string,
  headers: Record<string, string> = {},
): Promise<{ url: string; stop(): Promise<void> }> {
  const server = createServer((_request, response) => response.writeHead(status, headers).end(body));
  return { url: `${await startListening(server)}/source`, stop: () => closeServer(server) };
}

async function startListening(server: Server): Promise<string> {
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
