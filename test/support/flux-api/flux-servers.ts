import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import express from 'express';
import { pino } from 'pino';
import { Sandbox } from '../../../src/sandbox/sandbox.js';
import { TestApp } from '../app/test-app.js';

/** Somebody who speaks the Flux API. */
export interface FluxServer {
  /** Without a slash at the end. */
  url: string;
  token: string;
  close(): Promise<void>;
}

/** Short, and long enough for a task to be seen running. */
const DELAY_MS = 150;
const TOKEN = 'sandbox-token';

/** The upstream in a box. */
export async function startSandbox(): Promise<FluxServer> {
  const log = pino({ level: 'silent' });
  let url = '';
  const sandbox = new Sandbox({ token: TOKEN, publicUrl: () => url, log, delayMs: DELAY_MS });
  const server = createServer(express().use(sandbox.router)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async () => {
    await sandbox.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { url, token: TOKEN, close };
}

/** Our own, with the sandbox behind it. */
export async function startDoor(): Promise<FluxServer> {
  const app = await TestApp.start({
    environment: { ALLOW_PRIVATE_HOSTS: '127.0.0.1' },
    tuning: { sandboxDelayMs: DELAY_MS },
  });
  return { url: app.url, token: app.key, close: () => app.stop() };
}

export interface FluxAnswer {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

export interface Picture {
  prompt: string;
  image_url: string;
}

export function picturesOf({ body }: Pick<FluxAnswer, 'body'>): Picture[] {
  return body.data as Picture[];
}

/** The status, and the code where there is one. */
export function errorOf({ status, body }: FluxAnswer): [number, unknown] {
  return [status, (body.error as { code?: unknown } | undefined)?.code];
}

/** A client of the door of a service that runs, with its first key or another one. */
export function doorOf({ url, key }: TestApp, token = key): FluxClient {
  return new FluxClient({ url, token });
}

/** A client of a Flux API as anybody would write one: an address, a token, and fetch. */
export class FluxClient {
  constructor(
    private readonly server: Pick<FluxServer, 'url' | 'token'>,
    private readonly headers: Record<string, string> = { authorization: `Bearer ${server.token}` },
  ) {}

  images(body: object): Promise<FluxAnswer> {
    return this.post('/flux/images', JSON.stringify(body));
  }

  tasks(body: object): Promise<FluxAnswer> {
    return this.post('/flux/tasks', JSON.stringify(body));
  }

  async post(path: string, body: string, headers: Record<string, string> = {}): Promise<FluxAnswer> {
    const response = await fetch(this.server.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...this.headers, ...headers },
      body,
    });
    const answer = (await response.json()) as Record<string, unknown>;
    return { status: response.status, headers: response.headers, body: answer };
  }

  /** The task once it is over, by reading it. */
  async finished(id: unknown): Promise<Record<string, unknown>> {
    for (;;) {
      const { body } = await this.tasks({ action: 'retrieve', id });
      if (body.finished_at !== undefined) return body;
    }
  }
}
